"""One learner's events as JSON bytes, with ids and a clock that only goes forward."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import orjson

Written = tuple[int, int, bytes]
"""Second since the start of the simulation, the learner's number, the event."""


class EventWriter:
    """Collects events until `take`; ``now`` is the second since ``start``.

    Ids are version 4 UUIDs from the learner's own random bits: unique as those are.
    """

    __slots__ = ("_number", "_rng", "_start", "_user_id", "_written", "now")

    def __init__(self, start: datetime, number: int, user_id: str, rng: random.Random) -> None:
        self._start = start
        self._number = number
        self._user_id = user_id
        self._rng = rng
        self._written: list[Written] = []
        self.now = 0

    def write(
        self, kind: str, course_id: str | None = None, after: float = 1, **fields: Any
    ) -> str:
        """An event that happens ``after`` seconds (at least one) from the one before; its id."""
        self.now += int(after) if after > 1 else 1
        event_id = version_4(self._rng)
        event: dict[str, Any] = {
            "event_id": event_id,
            "user_id": self._user_id,
            "type": kind,
            "occurred_at": self._start + timedelta(seconds=self.now),
        }
        if course_id is not None:
            event["course_id"] = course_id
        event.update(fields)
        line = orjson.dumps(event, option=orjson.OPT_UTC_Z)
        self._written.append((self.now, self._number, line))
        return event_id

    def take(self) -> list[Written]:
        """All since the last call, in time order."""
        written, self._written = self._written, []
        return written


def version_4(rng: random.Random) -> str:
    """A UUID of version 4 as a string; `uuid.UUID` takes three times as long."""
    h = f"{rng.getrandbits(128):032x}"
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"
