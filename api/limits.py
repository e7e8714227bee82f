"""How much of everything: bounds on requests, and seats by key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from api.problems import later


class Limits(NamedTuple):
    """``waiters``: requests that wait for a change at the same time, of one key and in all.

    ``redis_seconds``, ``postgres_seconds``: how long one question to the store may take.
    """

    target_bytes: int = 2_048
    header_bytes: int = 8_192
    headers: int = 64
    body_bytes: int = 4_096
    body_seconds: float = 5.0
    idle_seconds: float = 75.0
    requests_per_second: float = 100.0
    requests_at_once: int = 200
    refusals_per_second: float = 1.0
    refusals_at_once: int = 20
    waiters_of_a_key: int = 500
    waiters: int = 2_000
    heartbeat_seconds: float = 15.0
    stream_seconds: float = 3_600.0
    write_seconds: float = 10.0
    redis_seconds: float = 0.5
    postgres_seconds: float = 2.0


class Seats:
    """Requests that wait: so many of each key, so many in all."""

    def __init__(self, of_a_key: int, in_all: int) -> None:
        self._of_a_key, self._in_all = of_a_key, in_all
        self._taken: Counter[str] = Counter()

    @contextmanager
    def seat(self, key_id: str) -> Iterator[None]:
        """Holds a seat.

        Raises:
            Problem: 429, all of the key's are taken; 503, all are.
        """
        if self._taken[key_id] >= self._of_a_key:
            said = f"{self._of_a_key} requests of this key wait already; that is all it may have"
            raise later(429, "too-many-waiters", said, 5)
        if self._taken.total() >= self._in_all:
            raise later(503, "too-many-waiters", "too many requests wait here already", 5)
        self._taken[key_id] += 1
        try:
            yield
        finally:
            self._taken[key_id] -= 1
            if not self._taken[key_id]:
                del self._taken[key_id]

    @property
    def taken(self) -> int:
        return self._taken.total()
