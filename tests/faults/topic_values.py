"""What stands in one partition, as a ``read_committed`` reader sees it."""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaError, TopicPartition


def committed_values(bootstrap: str, topic: str, partition: int = 0) -> list[bytes]:
    """Every value, from the beginning to where the partition ends now."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "topic-values",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0)])
    values: list[bytes] = []
    try:
        while True:
            message = consumer.poll(10)
            assert message is not None, f"{topic} does not answer"
            error = message.error()
            if error is None:
                values.append(message.value() or b"")
            elif error.code() == KafkaError._PARTITION_EOF:
                return values
            else:
                raise AssertionError(error)
    finally:
        consumer.close()
