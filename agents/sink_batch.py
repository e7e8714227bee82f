"""What a sink takes in at once: records by count, bytes and age, and where to go on after them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError

from agents.event_record import as_event_record
from agents.sink_records import event_record, made_record
from config.settings import SinkSettings
from schemas.errors import InvalidRecord, RejectedEvent
from schemas.topics import EVENTS
from sinks.contract import SinkRecord
from streams.rules import Rules

_IDLE_SECONDS = 0.2
_RECORDS_AT_ONCE = 1_000
"""Few, since judging them keeps the event loop (some 0.05 ms each)."""


@dataclass
class Batch:
    """``unreadable``: records that are not what their topic holds, with the fault."""

    records: list[SinkRecord] = field(default_factory=list)
    unreadable: list[tuple[ConsumerRecord, str]] = field(default_factory=list)
    next_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    bytes: int = 0

    def add(self, record: ConsumerRecord, name: str, rules: Rules) -> None:
        """Judges a record of the topic called ``name``; of an event that is none, the worker
        writes the dead letter."""
        self.bytes += len(record.value or b"")
        try:
            self.records.append(_judged(record, name, rules))
        except InvalidRecord as error:
            self.unreadable.append((record, str(error)))
        except RejectedEvent:
            pass


async def gather(
    consumer: AIOKafkaConsumer,
    names: Mapping[str, str],
    rules: Rules,
    limits: SinkSettings,
    stop: asyncio.Event,
) -> Batch:
    """The next batch; empty if nothing came for a moment. ``names``: of the topics, by Kafka's.

    The age counts from the first record, so a trickle is not kept waiting for a full batch.
    """
    batch, until = Batch(), time.monotonic() + _IDLE_SECONDS
    read = 0
    while read < limits.max_records and batch.bytes < limits.max_bytes and not stop.is_set():
        wait = until - time.monotonic()
        if wait <= 0:
            break
        at_once = min(_RECORDS_AT_ONCE, limits.max_records - read)
        fetched = await consumer.getmany(timeout_ms=int(wait * 1000), max_records=at_once)
        if fetched and not read:
            until = time.monotonic() + limits.max_age_seconds
        for records in fetched.values():
            read += len(records)
            for record in records:
                batch.add(record, names[record.topic], rules)
    # Not the last record's offset: behind it may stand a transaction's marker.
    for tp in consumer.assignment():
        with contextlib.suppress(IllegalStateError):  # it was taken from us just now
            batch.next_offsets[tp] = await consumer.position(tp)
    return batch


def _judged(record: ConsumerRecord, name: str, rules: Rules) -> SinkRecord:
    if name != EVENTS:
        return made_record(name, record.partition, record.offset, record.key, record.value)
    return event_record(record.partition, as_event_record(record), rules)
