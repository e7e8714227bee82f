"""Reads a partition's tables back from their changelogs, to the very end.

Called only after the partition's transactional producer has fenced the old owner, so nothing can
be written behind what is read here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiokafka import TopicPartition

from agents.kafka_client import committed_reader
from agents.topic_reader import read_to_end
from config.settings import KafkaSettings

Apply = Callable[[str, bytes, bytes | None, int], None]
"""Called with (topic, key, value, offset), in order; a ``None`` value deletes the key."""


class DoesNotGoOn(Exception):
    """A changelog has lost its end, or dropped what came next, since it was known up to there."""


async def restore(
    kafka: KafkaSettings,
    topics: list[str],
    partition: int,
    apply: Apply,
    reached: Mapping[str, int] | None = None,
) -> int:
    """Hands the committed records of one partition of the topics to ``apply``.

    Args:
        reached: the offset to begin from, of topics that are known up to there.

    Returns:
        How many records there were.

    Raises:
        DoesNotGoOn: nothing was read.
    """
    # Never jump: a position out of range is an error, not "latest".
    consumer = committed_reader(kafka, auto_offset_reset="none")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, partition) for topic in topics]
        consumer.assign(partitions)
        starts = await consumer.beginning_offsets(partitions)
        if reached:
            ends = await consumer.end_offsets(partitions)
            for tp in partitions:
                start = reached.get(tp.topic, starts[tp])
                if not starts[tp] <= start <= ends[tp]:
                    raise DoesNotGoOn(tp, start)
                starts[tp] = start
        for tp, start in starts.items():
            consumer.seek(tp, start)
        count = 0
        async for record in read_to_end(consumer, partitions):
            apply(record.topic, record.key, record.value, record.offset)
            count += 1
        return count
    finally:
        await consumer.stop()
