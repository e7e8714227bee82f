"""What stands on Kafka, as a ``read_committed`` reader sees it."""

from __future__ import annotations

import contextlib
import time

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from agents.topics import EVENTS
from config.settings import Settings


def committed_records(bootstrap: str, topic: str, partitions: int = 1) -> dict[int, list[Message]]:
    """Every committed record by partition, from the beginning to where each ends now."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "log-oracle",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    found: dict[int, list[Message]] = {p: [] for p in range(partitions)}
    consumer.assign([TopicPartition(topic, p, 0) for p in found])
    ended: set[int] = set()
    try:
        while len(ended) < partitions:
            for message in consumer.consume(1000, timeout=0.1):
                if message.error() is None:
                    found[message.partition()].append(message)
                else:
                    ended.add(message.partition())
    finally:
        consumer.close()
    return found


def lag(settings: Settings) -> int:
    """Events whose offset the worker has not committed."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": settings.worker.app_id,
            "isolation.level": "read_committed",
        }
    )
    try:
        for _ in range(50):
            # A new topic has no leader for a moment, a new group no coordinator.
            with contextlib.suppress(KafkaException):
                return _behind(consumer, settings.kafka.partitions)
            time.sleep(0.2)
        return _behind(consumer, settings.kafka.partitions)
    finally:
        consumer.close()


def _behind(consumer: Consumer, partitions: int) -> int:
    asked = [TopicPartition(EVENTS, partition) for partition in range(partitions)]
    return sum(
        consumer.get_watermark_offsets(tp, timeout=10)[1] - max(tp.offset, 0)
        for tp in consumer.committed(asked, timeout=10)
    )
