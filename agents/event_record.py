"""A record of ``learner.events`` as the decoder takes it, whoever read it from Kafka."""

from __future__ import annotations

from datetime import UTC, datetime

from aiokafka import ConsumerRecord

from streams.decode import Record


def as_event_record(record: ConsumerRecord) -> Record:
    """A key or value that is missing counts as an empty one."""
    return Record(
        record.offset,
        record.key or b"",
        record.value or b"",
        datetime.fromtimestamp(record.timestamp / 1000, UTC),
    )
