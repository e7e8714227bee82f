"""Reads a partition's tables back from their changelogs, to the very end.

Called only after the partition's transactional producer has fenced the old owner, so nothing can
be written behind what is read here.
"""

from __future__ import annotations

from collections.abc import Callable

from aiokafka import TopicPartition

from agents.kafka_client import committed_reader
from agents.topic_reader import read_to_end
from config.settings import KafkaSettings

Apply = Callable[[str, bytes, bytes | None], None]
"""Called with (topic, key, value), in order; a ``None`` value deletes the key."""


async def restore(kafka: KafkaSettings, topics: list[str], partition: int, apply: Apply) -> int:
    """Hands every committed record of one partition of the topics to ``apply``.

    Returns:
        How many records there were.
    """
    # Never jump: a position out of range is an error, not "latest".
    consumer = committed_reader(kafka, auto_offset_reset="none")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, partition) for topic in topics]
        consumer.assign(partitions)
        for tp, offset in (await consumer.beginning_offsets(partitions)).items():
            consumer.seek(tp, offset)
        count = 0
        async for record in read_to_end(consumer, partitions):
            apply(record.topic, record.key, record.value)
            count += 1
        return count
    finally:
        await consumer.stop()
