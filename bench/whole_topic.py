"""A topic from its beginning to where it ends now, as a ``read_committed`` reader sees it.

Record by record: what contenders decide in some rounds is gigabytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

_AT_ONCE = 1_000


def whole_topic(bootstrap: str, topic: str, partitions: int) -> Iterator[Message]:
    """Every committed record, partitions mixed, each in order.

    Raises:
        confluent_kafka.KafkaException: Kafka or the topic is not there.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "whole-topic",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    open_ = set(range(partitions))
    consumer.assign([TopicPartition(topic, partition, 0) for partition in open_])
    try:
        while open_:
            for message in consumer.consume(_AT_ONCE, timeout=0.1):
                error = message.error()
                if error is None:
                    yield message
                elif error.name() == "_PARTITION_EOF":
                    open_.discard(message.partition())
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()
