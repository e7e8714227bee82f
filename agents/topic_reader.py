"""Reads a topic once, from its beginning to where it ends now, to look something up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from agents.kafka_client import committed_reader
from config.settings import KafkaSettings
from schemas.errors import BrokerUnavailable

_CONNECT_SECONDS = 5
_POLL_MS = 500


async def read_topic(kafka: KafkaSettings, topic: str) -> AsyncIterator[ConsumerRecord]:
    """Committed records, partition by partition in order.

    Raises:
        BrokerUnavailable: nobody answers within seconds, or the topic is not there.
    """
    consumer = committed_reader(kafka)
    try:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await consumer.start()
                await consumer.topics()
        except (KafkaError, TimeoutError, OSError) as error:
            raise BrokerUnavailable(
                f"no Kafka answers at {kafka.bootstrap_servers} ({type(error).__name__}): start "
                "one, or set LEARNER_KAFKA__BOOTSTRAP_SERVERS"
            ) from None
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise BrokerUnavailable(f"topic {topic} is not there: run `learner topics create`")
        for number in sorted(numbers):
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
