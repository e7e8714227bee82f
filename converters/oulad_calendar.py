"""When something happened, in a data set that tells days relative to a course's start only."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

_PRESENTATION = re.compile(r"(20[0-9]{2})([BJ])")
_MONTH = {"B": 2, "J": 10}

WINDOWS_MS = {
    "course.enrolled": (21_600_000, 7_200_000),
    "profile.updated": (28_800_000, 7_200_000),
    "quiz.submitted": (36_000_000, 36_000_000),
    "course.withdrawn": (72_000_000, 7_200_000),
    "course.completed": (79_200_000, 7_200_000),
}
"""Per event type the first millisecond of the day and how many follow (UTC): enrolment from 06:00,
background from 08:00, work 10:00–20:00, leaving from 20:00, results from 22:00. So what happens on
one day keeps an order that makes sense: the exam before the result."""


def presentation_start(code: str) -> int | None:
    """The ordinal of day 0: "B" presentations start on 1 February, "J" ones on 1 October.

    The data set tells the month only; ``None`` for what is no code of a presentation.
    """
    match = _PRESENTATION.fullmatch(code)
    return date(int(match[1]), _MONTH[match[2]], 1).toordinal() if match else None


def instant(event_type: str, ordinal: int, chance: int) -> str:
    """RFC 3339 time on the day, within the window of the type, at a place told by ``chance``."""
    first, length = WINDOWS_MS[event_type]
    ms = first + chance % length
    return (
        f"{_iso_date(ordinal)}T{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:"
        f"{ms // 1000 % 60:02}.{ms % 1000:03}Z"
    )


@lru_cache(maxsize=4096)
def _iso_date(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()
