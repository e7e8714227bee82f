"""`learner decisions`: what was decided, worked out again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cli.failures import fail
from cli.json_lines import open_lines, write_json
from cli.options import Input
from cli.progress import counted
from schemas.errors import InvalidRecord, LearnerError

app = typer.Typer(no_args_is_help=True, help="What was decided, worked out again.")


@app.command()
def verify(
    source: Input,
    trees: Annotated[
        list[Path] | None,
        typer.Option(
            "--trees",
            help="File of tree documents (JSON lines), for versions beyond the seed; repeatable.",
        ),
    ] = None,
) -> None:
    """Works each decision out again from its own record and confirms it.

    A JSON line for each that does not hold, and one at the end with the count of both kinds. Exit
    code 0 only if all hold.
    """
    from cli.tree_versions import read_versions  # noqa: PLC0415
    from schemas.decision import decision_adapter  # noqa: PLC0415
    from streams.verification import verify as work_out_again  # noqa: PLC0415

    versions = read_versions(trees or [])
    confirmed = wrong = 0
    with open_lines(source) as lines:
        for number, line in enumerate(counted(lines, "verifying"), 1):
            if not line.strip():
                continue
            try:
                decision = decision_adapter.validate_json(line)
                key = (decision.tree_id, decision.decision_version)
                if key not in versions:
                    raise InvalidRecord(
                        f"{key[0]} version {key[1]} is not known: give its document with --trees"
                    )
                work_out_again(decision, versions[key])
            except (ValidationError, LearnerError) as error:
                wrong += 1
                write_json({"line": number, "fault": _in_words(error)})
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
