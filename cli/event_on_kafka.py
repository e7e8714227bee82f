"""An event's record on ``learner.events``: at a place that is known, or looked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from aiokafka import ConsumerRecord, TopicPartition
from pydantic import ValidationError

from agents.broker_errors import broker_errors
from agents.event_record import recorded_at
from agents.kafka_client import committed_reader
from agents.topic_reader import partitions_of, read_to_end, seek_since
from config.settings import KafkaSettings
from schemas.event import LearnerEvent, event_adapter
from schemas.topics import EVENTS


class FoundRecord(NamedTuple):
    """``recorded_at``: the record's Kafka timestamp."""

    event: LearnerEvent
    partition: int
    offset: int
    recorded_at: datetime


async def event_at(kafka: KafkaSettings, partition: int, offset: int) -> FoundRecord | None:
    """The event at that place; ``None`` if Kafka keeps it no longer.

    Raises:
        BrokerUnavailable: nobody answers, or the topic is not there.
    """
    consumer = committed_reader(kafka)
    try:
        with broker_errors(kafka):
            await consumer.start()
            tp = TopicPartition(EVENTS, partition)
            if tp not in await partitions_of(consumer, EVENTS):
                return None
            consumer.assign([tp])
            if (
                not (await consumer.beginning_offsets([tp]))[tp]
                <= offset
                < (await consumer.end_offsets([tp]))[tp]
            ):
                return None
            consumer.seek(tp, offset)
            async for record in read_to_end(consumer, [tp]):
                return _found(record) if record.offset == offset else None
    finally:
        await consumer.stop()
    return None


async def find_event(
    kafka: KafkaSettings,
    since: datetime | None,
    may_be: Callable[[bytes], bool],
    is_it: Callable[[LearnerEvent], bool],
) -> FoundRecord | None:
    """The first such event, of those recorded ``since`` then if that is given.

    Args:
        may_be: of a raw record in lower case, quickly.

    Raises:
        BrokerUnavailable: nobody answers, or the topic is not there.
    """
    consumer = committed_reader(kafka)
    try:
        with broker_errors(kafka):
            await consumer.start()
            partitions = await partitions_of(consumer, EVENTS)
            consumer.assign(partitions)
            await seek_since(consumer, partitions, since)
            async for record in read_to_end(consumer, partitions):
                if may_be((record.value or b"").lower()):
                    found = _found(record)
                    if found is not None and is_it(found.event):
                        return found
    finally:
        await consumer.stop()
    return None


def _found(record: ConsumerRecord) -> FoundRecord | None:
    """``None`` for what is no valid event: a dead letter."""
    try:
        event: LearnerEvent = event_adapter.validate_json(record.value)
    except ValidationError:
        return None
    return FoundRecord(event, record.partition, record.offset, recorded_at(record.timestamp))
