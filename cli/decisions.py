"""`learner decisions`: what was decided, worked out again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cli.failures import fail
from cli.json_lines import open_lines, write_json
from cli.options import Input, Kafka, VersionsFile, settings_of
from cli.progress import counted
from cli.tree_versions import Compiled, read_versions
from schemas.errors import LearnerError

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
    kafka: Kafka = None,
    file: VersionsFile = None,
) -> None:
    """Works each decision out again from its own record and confirms it.

    A JSON line for each that does not hold, and one at the end with the count of both kinds. Exit
    code 0 only if all hold.
    """
    from schemas.decision import decision_adapter  # noqa: PLC0415
    from streams.verification import verify as differences  # noqa: PLC0415

    settings = settings_of(ctx, quiet_libraries=True, kafka__bootstrap_servers=kafka)
    known = Compiled(read_versions(trees or (), settings.kafka if kafka else None, file))
    confirmed = wrong = 0
    with open_lines(source) as lines:
        for number, line in enumerate(counted(lines, "verifying"), 1):
            if not line.strip():
                continue
            try:
                decision = decision_adapter.validate_json(line)
                found = differences(decision, known.of(decision))
            except (ValidationError, LearnerError) as error:
                found = (_in_words(error),)
            if found:
                wrong += 1
                write_json({"line": number, "differences": found})
            else:
                confirmed += 1
    write_json({"confirmed": confirmed, "wrong": wrong})
    if wrong:
        fail(f"{wrong} of {confirmed + wrong} decisions do not hold")


def _in_words(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"no decision record: {place}: {first['msg']}"
