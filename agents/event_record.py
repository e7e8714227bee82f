"""A record of ``learner.events`` as the decoder takes it, whoever read it from Kafka."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aiokafka import ConsumerRecord

from streams.decode import Record

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST = (datetime(1, 1, 1, tzinfo=UTC) - _UNIX_EPOCH) // _MILLISECOND
# A year is left at the end, so that a tolerance can be added.
_LAST = (datetime(9999, 1, 1, tzinfo=UTC) - _UNIX_EPOCH) // _MILLISECOND - 1


def as_event_record(record: ConsumerRecord) -> Record:
    """A key or value that is missing counts as an empty one."""
    return Record(
        record.offset, record.key or b"", record.value or b"", recorded_at(record.timestamp)
    )


def recorded_at(milliseconds: int) -> datetime:
    """A record's Kafka timestamp, within the years 1 to 9998.

    A producer may write any 64-bit number there, microseconds by mistake; its record has to be
    judged like every other, or it would stop its partition.
    """
    return _UNIX_EPOCH + min(max(milliseconds, _FIRST), _LAST) * _MILLISECOND
