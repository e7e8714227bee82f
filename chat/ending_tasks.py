"""Ends tasks for sure: a cancel may be lost, and is given again until they have ended.

In Python 3.11 `asyncio.wait_for` drops a cancel that comes as what it waits for is done, and redis
sends each command with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_SECONDS = 3.0


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Returns once all have ended, however they did."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_SECONDS)


async def first_of(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Until one ends, which ends the others; raises what ended it."""
    waited = list(tasks)
    try:
        done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end(waited)
