"""`learner simulate`: a class of learners as events, the same for the same seed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from cli.json_lines import write_lines
from cli.options import utc
from cli.progress import counted


def simulate(
    learners: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many learners.")] = 200,
    days: Annotated[int, typer.Option(min=1, max=366, help="How long they are followed.")] = 90,
    seed: Annotated[int, typer.Option(help="The same seed gives the same events.")] = 7,
    start: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Their first day (UTC). [2024-01-08]"),
    ] = None,
) -> None:
    """Events of a simulated class, one a line, in time order.

    A worker refuses events of the future, so a --start must lie --days back.
    """
    from simulation.classroom import START  # noqa: PLC0415
    from simulation.classroom import simulate as events_of_class  # noqa: PLC0415

    events = events_of_class(learners, days, seed, utc(start) or START)
    write_lines(counted(events, "simulating"))
