"""Reading a topic by hand: every partition, no group, positions of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from agents.broker_errors import broker_errors
from agents.kafka_client import committed_reader
from config.settings import KafkaSettings
from schemas.errors import BrokerUnavailable

_WAIT_MS = 200
_FIRST_LOOK_BACK = 16


async def read_topic(kafka: KafkaSettings, topic: str) -> AsyncIterator[ConsumerRecord]:
    """All committed records up to now, partition by partition in order.

    Raises:
        BrokerUnavailable: nobody answers, or the topic is not there.
    """
    consumer = committed_reader(kafka)
    try:
        with broker_errors(kafka):
            await consumer.start()
            partitions = await partitions_of(consumer, topic)
        for tp in partitions:
            consumer.assign([tp])
            consumer.seek(tp, (await consumer.beginning_offsets([tp]))[tp])
            async for record in read_to_end(consumer, [tp]):
                yield record
    finally:
        await consumer.stop()


async def partitions_of(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    """All partitions, by a consumer that was started.

    Raises:
        BrokerUnavailable: the topic is not there.
    """
    # `topics()` asks the same, but throws away what it learned of the partitions.
    cluster = await consumer._client.fetch_all_metadata()
    numbers = cluster.partitions_for_topic(topic)
    if not numbers:
        raise BrokerUnavailable(f"topic {topic} is not there: run `learner topics create`")
    return [TopicPartition(topic, number) for number in sorted(numbers)]


async def seek_since(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], since: datetime | None
) -> dict[TopicPartition, int]:
    """To the first record that Kafka recorded at or after ``since``, to the beginning without one;
    returns where that is. The partitions are assigned."""
    places: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
    if since is not None:
        ms = max(0, int(since.timestamp() * 1000))
        later = await consumer.offsets_for_times(dict.fromkeys(partitions, ms))
        ends = await consumer.end_offsets(partitions)
        places = {tp: later[tp].offset if later.get(tp) else ends[tp] for tp in partitions}
    for tp, offset in places.items():
        consumer.seek(tp, offset)
    return places


async def read_to_end(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
) -> AsyncIterator[ConsumerRecord]:
    """From where the consumer stands to where the partitions end now.

    It is done when the position says so: at the end of a transaction stands a marker, no record.
    """
    ends = await consumer.end_offsets(list(partitions))
    while behind := [tp for tp, end in ends.items() if await consumer.position(tp) < end]:
        for records in (await consumer.getmany(*behind, timeout_ms=_WAIT_MS)).values():
            for record in records:
                yield record


async def last_record(
    consumer: AIOKafkaConsumer, tp: TopicPartition, key: bytes | None = None
) -> ConsumerRecord | None:
    """The newest record that is left, of those with ``key`` if one is given; ``None`` if none is.

    The consumer has nothing else to read afterwards: the partition is assigned to it.
    """
    consumer.assign([tp])
    begin = (await consumer.beginning_offsets([tp]))[tp]
    end = (await consumer.end_offsets([tp]))[tp]
    back = _FIRST_LOOK_BACK
    while True:
        # The end first: a topic that is not compacted yet may hold thousands.
        start = max(begin, end - back)
        consumer.seek(tp, start)
        found = None
        async for record in read_to_end(consumer, [tp]):
            if key is None or record.key == key:
                found = record
        if found is not None or start == begin:
            return found
        back *= 8
