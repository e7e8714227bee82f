"""`learner simulate`: a class of learners as events, the same for the same seed."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.json_lines import write_lines
from cli.progress import counted


def simulate(
    learners: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many learners.")] = 200,
    weeks: Annotated[int, typer.Option(min=1, max=52, help="How long the course runs.")] = 10,
    seed: Annotated[int, typer.Option(help="The same seed gives the same events.")] = 7,
) -> None:
    """Events of a simulated class, one a line, in time order."""
    from schemas.event import event_adapter  # noqa: PLC0415
    from simulation.simulate import simulate as simulated  # noqa: PLC0415

    events = counted(simulated(learners, weeks, seed), "simulating")
    write_lines(event_adapter.dump_json(event, exclude_none=True) for event in events)
