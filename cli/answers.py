"""What the commands of `learner query` share: their options, and how an answer is shown."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.json_lines import write_json

User = Annotated[str, typer.Argument(metavar="USER_ID")]
CourseOption = Annotated[str | None, typer.Option("--course", help="In one course only.")]
File = Annotated[
    Path | None,
    typer.Option("--file", help="Ask this DuckDB file instead.", exists=True, dir_okay=False),
]
Json = Annotated[bool, typer.Option("--json", help="JSON lines, for a program.")]

_WIDE = 200


def nothing_more(found: Sequence[Any], as_json: bool) -> bool:
    """Whether there is no more to say: as JSON lines, or that nothing was found."""
    if as_json:
        for one in found:
            write_json(one._asdict() if hasattr(one, "_asdict") else one)
    elif not found:
        typer.echo("nothing found", err=True)
    return as_json or not found


def show(rows: Sequence[Any], as_json: bool) -> None:
    """Named tuples of one kind: a table for a person, or JSON lines."""
    if nothing_more(rows, as_json):
        return
    table = Table(box=None, header_style="bold")
    for name in rows[0]._fields:
        table.add_column(name, overflow="fold")  # an id that was cut off is of no use
    for row in rows:
        table.add_row(*(Text(_said(value)) for value in row))
    _console().print(table)


def _console() -> Console:
    """As wide as the terminal; into a file or a pipe, as wide as it takes."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDE)


def _said(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, timedelta | date | str | int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return f"{value}"
