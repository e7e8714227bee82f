"""What the worker's table knows of some learners' times: read without the worker."""

from __future__ import annotations

from collections.abc import Mapping, Set

from aiokafka import TopicPartition
from pydantic import ValidationError

from agents.broker_errors import broker_errors
from agents.kafka_client import committed_reader
from agents.topic_reader import partitions_of, read_to_end, seek_since
from agents.topics import changelog
from config.settings import Settings
from schemas.behavior import Behavior, behavior_adapter
from schemas.errors import InvalidRecord


async def known_behaviors(
    settings: Settings, wanted: Mapping[int, Set[str]]
) -> dict[str, Behavior]:
    """By ``user_id``, of those that have a state; ``wanted``: by partition of ``learner.events``.

    Of each only what `streams.step.reject_too_late` asks for, so that many fit into memory.

    Raises:
        BrokerUnavailable: nobody answers, or the changelog is not there.
        InvalidRecord: a state that this version cannot read.
    """
    topic = changelog(settings.worker.app_id, "behavior")
    found: dict[str, Behavior] = {}
    consumer = committed_reader(settings.kafka, auto_offset_reset="earliest")
    try:
        with broker_errors(settings.kafka):
            await consumer.start()
            there = await partitions_of(consumer, topic)
            partitions = [tp for tp in there if tp.partition in wanted]
            if not partitions:
                return found
            consumer.assign(partitions)
            await seek_since(consumer, partitions, None)
            async for record in read_to_end(consumer, partitions):
                user_id = (record.key or b"").decode("utf-8", "replace")
                if user_id not in wanted[record.partition]:
                    continue
                if record.value is None:
                    found.pop(user_id, None)
                else:
                    found[user_id] = _times(record.value, TopicPartition(topic, record.partition))
    finally:
        await consumer.stop()
    return found


def _times(raw: bytes, tp: TopicPartition) -> Behavior:
    try:
        whole = behavior_adapter.validate_json(raw)
    except ValidationError as error:
        raise InvalidRecord(
            f"{tp.topic}/{tp.partition} holds a state that this version cannot read "
            f"({error.error_count()} faults): was it written by a newer worker?"
        ) from None
    return Behavior(
        whole.user_id,
        last_activity_at=whole.last_activity_at,
        forgotten_days=whole.forgotten_days,
    )
