"""Python's full garbage collections, kept out of the way of events.

A full collection looks at every object there is: some 100 ms for what a worker has imported alone,
and more with each learner that it knows, at moments that nobody chooses.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_THRESHOLDS = (2_000, 10, 1_000_000)
"""The third says after how many collections of the middle generation a full one comes: never. What
a batch leaves behind, cycles too, is young and goes with the two smaller ones."""


def not_while_restoring() -> None:
    """No full collection from here on: each would look at all that was restored so far (with
    1,000,000 learners that took as long as the restoring)."""
    gc.set_threshold(*_THRESHOLDS)


def collect_now_and_not_later() -> None:
    """Collects everything once, and has what is left looked at no more.

    For moments at which nothing is read: a process has been given partitions.
    """
    gc.collect()
    gc.freeze()
    not_while_restoring()


@asynccontextmanager
async def rare_full_collections(every_seconds: float = 300.0) -> AsyncIterator[None]:
    """One now, and one in so many seconds while the block runs.

    For who serves connections: they live long, and may leave cycles behind when they end.
    """
    before = gc.get_threshold()
    collecting = asyncio.create_task(_collect_again_and_again(every_seconds))
    try:
        yield
    finally:
        collecting.cancel()
        gc.unfreeze()
        gc.set_threshold(*before)


async def _collect_again_and_again(every_seconds: float) -> None:
    while True:
        gc.unfreeze()
        collect_now_and_not_later()
        await asyncio.sleep(every_seconds)
