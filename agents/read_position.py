"""Where a partition is read on: at the position that our own state holds, if it still is there."""

from __future__ import annotations

import structlog
from aiokafka import TopicPartition

from schemas.errors import InvalidRecord

log = structlog.get_logger(__name__)


def read_on_from(
    tp: TopicPartition, position: int | None, begin: int, end: int, remedy: str
) -> int:
    """The position, or ``begin``, the first offset left, without one or where it is gone.

    Args:
        end: the offset that the next record of the partition will have.
        remedy: what to do if the partition was made anew, as the end of a sentence.

    Raises:
        InvalidRecord: the partition ends before the position.
    """
    if position is None:
        return begin
    if position > end:
        raise InvalidRecord(
            f"{tp.topic} partition {tp.partition} has been read up to {position}, but it ends at "
            f"{end}: it was made anew. {remedy}"
        )
    if position < begin:
        log.warning(
            "records are gone before they were read",
            topic=tp.topic,
            partition=tp.partition,
            records=begin - position,
        )
    return max(position, begin)
