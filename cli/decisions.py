"""`learner decisions`: what was decided, worked out again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from cli.failures import fail
from cli.json_lines import open_lines, write_json
from cli.options import Input, Kafka, VersionsFile, settings_of
from cli.progress import counted
from cli.tree_versions import Compiled, read_versions
from config.settings import Settings
from schemas.errors import LearnerError

if TYPE_CHECKING:
    from streams.prompt import Prompts

app = typer.Typer(no_args_is_help=True, help="What was decided, worked out again.")


@app.command()
def verify(
    ctx: typer.Context,
    source: Input,
    trees: Annotated[
        list[Path] | None,
        typer.Option(
            "--trees",
            help="File of tree documents (JSON lines), for versions beyond the seed; repeatable.",
        ),
    ] = None,
    prompts: Annotated[
        list[Path] | None,
        typer.Option(
            "--prompts",
            metavar="FOLDER",
            help="Prompt templates, beside the package's and LEARNER_PROMPTS__FOLDER; repeatable.",
        ),
    ] = None,
    kafka: Kafka = None,
    file: VersionsFile = None,
) -> None:
    """Works each decision out again from its own record, its prompt too, and confirms it.

    A JSON line for each that does not hold, or cannot be checked since its prompt set is not known
    here, and one at the end with the count of each kind. Exit code 0 only if all hold.
    """
    from schemas.decision import decision_adapter  # noqa: PLC0415
    from streams.verification import verify as differences  # noqa: PLC0415

    settings = settings_of(ctx, quiet_libraries=True, kafka__bootstrap_servers=kafka)
    known = Compiled(read_versions(trees or (), settings.kafka if kafka else None, file))
    sets = _prompt_sets(settings, prompts or (), from_kafka=kafka is not None)
    confirmed = wrong = unchecked = 0
    with open_lines(source) as lines:
        for number, line in enumerate(counted(lines, "verifying"), 1):
            if not line.strip():
                continue
            try:
                decision = decision_adapter.validate_json(line)
                filled_by = sets.get(decision.prompt_version)
                found = differences(decision, known.of(decision), filled_by)
            except (ValidationError, LearnerError) as error:
                found = (_in_words(error),)
            if found:
                wrong += 1
                write_json({"line": number, "differences": found})
            elif filled_by is None:
                unchecked += 1
                write_json({"line": number, "unchecked": _unknown(decision.prompt_version)})
            else:
                confirmed += 1
    write_json({"confirmed": confirmed, "wrong": wrong, "unchecked": unchecked})
    if wrong or unchecked:
        cannot = f", {unchecked} cannot be checked" if unchecked else ""
        fail(f"{wrong} of {confirmed + wrong + unchecked} decisions do not hold{cannot}")


def _prompt_sets(
    settings: Settings, folders: Iterable[Path], *, from_kafka: bool
) -> dict[str, Prompts]:
    from agents.prompt_sets import known_prompts, published_sets  # noqa: PLC0415

    own = settings.prompts.folder
    published = asyncio.run(published_sets(settings.kafka)) if from_kafka else {}
    return known_prompts([*folders, *((own,) if own else ())], published.values())


def _unknown(version: str) -> str:
    return (
        f"prompt set {version} is not known here: name its folder with --prompts, or a Kafka that "
        "has it with --kafka"
    )


def _in_words(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"no decision record: {place}: {first['msg']}"
