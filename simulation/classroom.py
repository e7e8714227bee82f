"""A simulated class: the events of all its learners in time order, the same for the same seed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from heapq import merge

from simulation.course import catalogue
from simulation.learner import Learner

START = datetime(2024, 1, 8, tzinfo=UTC)
"""A Monday long ago: no event is ever from the future."""

_CLASS = uuid.uuid5(uuid.NAMESPACE_URL, "learner.simulation")


def simulate(
    learners: int,
    days: int,
    seed: int,
    start: datetime = START,
    harder_half_way: bool = True,
) -> Iterator[bytes]:
    """LearnerEvents as JSON, one `bytes` each, in time order across learners.

    Nothing is kept but where each learner is. Every time lies between ``start`` (UTC) and
    ``days`` later. With ``harder_half_way`` all questions become harder after half of the days, so
    that what was learned of learners before no longer quite holds.

    Raises:
        ValueError: ``start`` has no time zone.
    """
    if start.tzinfo is None:
        raise ValueError(f"start {start} has no time zone; give it one, as datetime.UTC")
    courses = catalogue(seed)
    harder_from = days // 2 if harder_half_way else None
    begins = start.astimezone(UTC).replace(microsecond=0)
    everybody = [
        Learner(number, str(uuid.uuid5(_CLASS, f"{seed}/{number}")), seed, begins, courses).events(
            days, harder_from
        )
        for number in range(learners)
    ]
    return (line for _, _, line in merge(*everybody))
