"""Reads a topic once, from its beginning to where it ends now, to look something up."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiokafka import ConsumerRecord, TopicPartition

from agents.kafka_client import committed_reader
from agents.topic_admin import partition_counts
from config.settings import KafkaSettings
from schemas.errors import BrokerUnavailable

_POLL_MS = 500


async def read_topic(kafka: KafkaSettings, topic: str) -> AsyncIterator[ConsumerRecord]:
    """Committed records, partition by partition in order.

    Raises:
        BrokerUnavailable: nobody answers within seconds, or the topic is not there.
    """
    count = (await partition_counts(kafka)).get(topic, 0)
    if not count:
        raise BrokerUnavailable(f"topic {topic} is not there: run `learner topics create`")
    consumer = committed_reader(kafka)
    await consumer.start()
    try:
        for number in range(count):
            tp = TopicPartition(topic, number)
            consumer.assign([tp])
            begin = (await consumer.beginning_offsets([tp]))[tp]
            end = (await consumer.end_offsets([tp]))[tp]
            consumer.seek(tp, begin)
            # The position, not the last record: a transaction's marker stands at the end.
            while await consumer.position(tp) < end:
                found = await consumer.getmany(tp, timeout_ms=_POLL_MS)
                for record in found.get(tp, ()):
                    yield record
    finally:
        await consumer.stop()
