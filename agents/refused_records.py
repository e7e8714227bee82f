"""A batch that a store refuses for the sake of some of its records: which they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from schemas.errors import RecordRefused
from sinks.contract import SinkRecord


async def write_apart(
    records: Sequence[SinkRecord],
    write: Callable[[Sequence[SinkRecord]], Awaitable[bool]],
    refused: Callable[[SinkRecord, str], Awaitable[None]],
) -> bool:
    """Writes them in order, whole or in halves of halves, until each refused one stands alone.

    Args:
        write: takes a part as it is, says whether to go on, and raises `RecordRefused`.
        refused: is told of a record that the store takes not even alone, and the store's words.

    Returns:
        Whether all were written or told of; if not, ``write`` has said to stop.
    """
    todo = [records]
    while todo:
        part = todo.pop()
        try:
            if not await write(part):
                return False
        except RecordRefused as error:
            if len(part) == 1:
                await refused(part[0], str(error))
            else:
                half = len(part) // 2
                todo += [part[half:], part[:half]]
    return True
