"""`learner simulate`: a class of learners as events, the same for the same seed."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.json_lines import write_lines
from cli.progress import counted


def simulate(
    learners: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many learners.")] = 200,
    days: Annotated[int, typer.Option(min=1, max=366, help="How long they are followed.")] = 90,
    seed: Annotated[int, typer.Option(help="The same seed gives the same events.")] = 7,
) -> None:
    """Events of a simulated class, one a line, in time order."""
    from simulation.classroom import simulate as events_of_class  # noqa: PLC0415

    write_lines(counted(events_of_class(learners, days, seed), "simulating"))
