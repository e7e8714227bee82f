"""What stands on Kafka, as a ``read_committed`` reader sees it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from agents.topics import EVENTS, TABLES, changelog
from config.settings import Settings

T = TypeVar("T")


def committed_records(bootstrap: str, topic: str, partitions: int = 1) -> dict[int, list[Message]]:
    """Every committed record by partition, from the beginning to where each ends now, or beyond.

    Raises:
        confluent_kafka.KafkaException: Kafka or the topic is not there.
    """
    consumer = _from_the_beginning(bootstrap)
    found: dict[int, list[Message]] = {p: [] for p in range(partitions)}
    ended: set[int] = set()
    try:
        # There is no end of partition as long as somebody writes on.
        ends = _patiently(lambda: _ends(consumer, topic, partitions))
        consumer.assign([TopicPartition(topic, p, 0) for p in found])
        while len(ended) < partitions:
            for message in consumer.consume(1000, timeout=0.1):
                partition = message.partition()
                if _is_record(message):
                    found[partition].append(message)
                if not _is_record(message) or message.offset() + 1 >= ends[partition]:
                    ended.add(partition)
    finally:
        consumer.close()
    return found


def committed(bootstrap: str, topic: str, partitions: Iterable[int]) -> Iterator[Message]:
    """Those that `committed_records` gives of a topic that nobody writes to any more, one by one:
    partitions mixed, each in order.

    Raises:
        confluent_kafka.KafkaException: Kafka or the topic is not there.
    """
    consumer = _from_the_beginning(bootstrap)
    open_ = set(partitions)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in open_])
    try:
        while open_:
            for message in consumer.consume(1000, timeout=0.1):
                if _is_record(message):
                    yield message
                else:
                    open_.discard(message.partition())
    finally:
        consumer.close()


def _is_record(message: Message) -> bool:
    """Or else the end of a partition.

    Raises:
        confluent_kafka.KafkaException: it is neither, but an error.
    """
    error = message.error()
    if error is None:
        return True
    if error.name() != "_PARTITION_EOF":
        raise KafkaException(error)
    return False


def _from_the_beginning(bootstrap: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "log-oracle",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            # A question waits behind the fetch before it, and that for records that never come.
            "fetch.wait.max.ms": 10,
        }
    )


def lag(settings: Settings) -> int:
    """Events whose offset the worker has not committed."""
    return group_lag(settings, settings.worker.app_id, (EVENTS,))


def group_lag(settings: Settings, group: str, names: Sequence[str]) -> int:
    """Records whose offset a group has not committed; a table's name means its changelog."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": group,
            "isolation.level": "read_committed",
        }
    )
    topics = [changelog(settings.worker.app_id, name) if name in TABLES else name for name in names]
    try:
        return _patiently(lambda: _behind(consumer, topics))
    finally:
        consumer.close()


def _patiently(ask: Callable[[], T]) -> T:
    """A new topic has no leader for a moment, a new group no coordinator."""
    for _ in range(50):
        with contextlib.suppress(KafkaException):
            return ask()
        time.sleep(0.2)
    return ask()


def _ends(consumer: Consumer, topic: str, partitions: int) -> list[int]:
    return [
        consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1]
        for partition in range(partitions)
    ]


def _behind(consumer: Consumer, topics: Sequence[str]) -> int:
    asked = [
        TopicPartition(topic, partition)
        for topic in topics
        for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions
    ]
    return sum(
        consumer.get_watermark_offsets(tp, timeout=10)[1] - max(tp.offset, 0)
        for tp in consumer.committed(asked, timeout=10)
    )
