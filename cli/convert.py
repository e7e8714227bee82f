"""`learner convert`: other systems' records as events of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.json_lines import write_lines
from cli.progress import counted

app = typer.Typer(no_args_is_help=True, help="Other systems' records as events of ours.")


@app.command()
def oulad(
    folder: Annotated[Path, typer.Argument(help="Where the official CSV files are.")],
) -> None:
    """The Open University Learning Analytics Dataset as events, one a line, in time order.

    What became of each file's rows is told on stderr at the end.
    """
    from converters.oulad import OuladAccount, oulad_events  # noqa: PLC0415

    account = OuladAccount()
    write_lines(counted(oulad_events(folder, account), "converting"))
    for title, counts in (
        ("rows read", account.rows),
        ("events made", account.events),
        ("made none", account.without_event),
        ("days assumed", account.days_assumed),
    ):
        told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
        typer.echo(f"{title}: {told or 'none'}", err=True)
