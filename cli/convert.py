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
    """The Open University Learning Analytics Dataset as events, one a line, in time order."""
    from converters.oulad import oulad_events  # noqa: PLC0415
    from schemas.event import event_adapter  # noqa: PLC0415

    events = counted(oulad_events(folder), "converting")
    write_lines(event_adapter.dump_json(event, exclude_none=True) for event in events)
