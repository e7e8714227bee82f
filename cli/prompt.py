"""`learner prompt`: the tutor's templates, checked and looked at before a worker uses them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import settings_of
from schemas.errors import InvalidInput
from schemas.fields import LABELS, LearnerLevel, TreeId
from schemas.prompt import PromptFigures, TopicFigure, template_file

if TYPE_CHECKING:
    from streams.prompt import Prompts

app = typer.Typer(no_args_is_help=True, help="The tutor's prompts: check them, look at one.")

Folder = Annotated[
    Path | None,
    typer.Argument(help="Folder of prompts; else that of LEARNER_PROMPTS__FOLDER, else our own."),
]

_BECAUSE = (
    "The tree's reasons stand here: mean score of the latest five graded answers 0.45 (at most "
    "0.5), topics flagged for review 2 (above 1)."
)


@app.command()
def check(ctx: typer.Context, folder: Folder = None) -> None:
    """Says whether a folder can be used, which it is, and how long each prompt can become.

    The first thing that is wrong is one line on stderr, and exit code 1.
    """
    from config.prompts import prompts_folder  # noqa: PLC0415
    from streams.prompt import MAX_PROMPT_CHARACTERS  # noqa: PLC0415

    own = _folder(ctx, folder)
    prompts = _prompts(own)
    typer.echo(f"version {prompts.version} in {prompts_folder(own)}")
    typer.echo(f"{MAX_PROMPT_CHARACTERS:>6,}  characters are allowed; with the longest names:")
    for (tree_id, label), longest in prompts.longest.items():
        typer.echo(f"{longest:>6,}  {template_file(tree_id, label)}")


@app.command()
def show(
    ctx: typer.Context,
    label: Annotated[str, typer.Argument(help="A label, as 'Fast Tracker' or fast-tracker.")],
    folder: Folder = None,
    level: Annotated[
        LearnerLevel, typer.Option(help="The invented learner's level.")
    ] = "intermediate",
) -> None:
    """Shows a label's prompt for an invented learner."""
    prompts = _prompts(_folder(ctx, folder))
    tree_id, name = _known(label)
    words = prompts.words(_invented(level))
    typer.echo(prompts.fill(tree_id, name, words, _BECAUSE))


def _folder(ctx: typer.Context, given: Path | None) -> Path | None:
    return settings_of(ctx, quiet_libraries=True, prompts__folder=given).prompts.folder


def _prompts(folder: Path | None) -> Prompts:
    from agents.prompt_sets import prompts_in  # noqa: PLC0415

    return prompts_in(folder)


def _known(label: str) -> tuple[TreeId, str]:
    wanted = label.lower().replace("-", " ")
    for tree_id, labels in LABELS.items():
        for name in labels:
            if name.lower().replace("-", " ") == wanted:
                return tree_id, name
    every = ", ".join(name for labels in LABELS.values() for name in labels)
    raise InvalidInput(f"{label!r} is no label; there are {every}")


def _invented(level: LearnerLevel) -> PromptFigures:
    return PromptFigures(
        course_id="algebra-1",
        topic_id="quadratic-equations",
        learner_level=level,
        weakest_topics=(TopicFigure("factoring", 35.0), TopicFigure("fractions", 52.0)),
        redo_topics=("factoring", "signs"),
        confidence=0.8,
        performance=0.45,
        best_format="video",
        writing_style="conversational",
    )
