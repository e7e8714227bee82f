"""A sink whose store is a dictionary that does as it is told: for tests of what runs sinks.

No store's stand-in: every real one is tested on its own server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from schemas.errors import RecordRefused, StoreUnavailable
from sinks.contract import SinkRecord


class ToldStore:
    """``rows``: what was kept, by (topic, partition, offset). ``sizes``: of each batch kept."""

    name = "told"

    def __init__(self, topics: tuple[str, ...]) -> None:
        self.topics = topics
        self.rows: dict[tuple[str, int, int], SinkRecord] = {}
        self.sizes: list[int] = []
        self.away = False
        self.tries = 0
        self.closed = 0
        self.refuses: Callable[[SinkRecord], bool] = lambda _: False
        self.seconds_per_write = 0.0

    async def setup(self) -> None:
        self._answer()

    async def write(self, batch: Sequence[SinkRecord]) -> None:
        self._answer()
        await asyncio.sleep(self.seconds_per_write)
        for record in batch:
            if self.refuses(record):
                raise RecordRefused(f"{record.key} has no place here")
        self.sizes.append(len(batch))
        self.rows |= {(r.topic, r.partition, r.offset): r for r in batch}

    async def close(self) -> None:
        self.closed += 1

    def _answer(self) -> None:
        self.tries += 1
        if self.away:
            raise StoreUnavailable("told is away")
