"""The embedded default's broker: librdkafka's mock cluster, in this process, in memory.

Its limits (``docs/decisions/0006``): four partitions a topic, about 5 MB kept of each (so who
produces must not run ahead of who reads), one member per consumer group, and transactions in name
only: it fences nobody. The agents are the same code as on a real Kafka.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from confluent_kafka import Producer

from agents.topics import topic_specs
from config.settings import KafkaSettings, Settings

PARTITIONS = 4


class EmbeddedKafka:
    """A broker for as long as the ``with`` lasts; ``settings`` are those given, pointed at it."""

    def __init__(self, settings: Settings) -> None:
        # The mock cluster lives as long as the client that was told to make it.
        self._client = Producer(
            {"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 2}
        )
        brokers = self._client.list_topics(timeout=10).brokers.values()
        kafka = KafkaSettings(
            bootstrap_servers=",".join(f"{broker.host}:{broker.port}" for broker in brokers),
            partitions=PARTITIONS,
            # It changes transactional batches without mending their checksums.
            check_crcs=False,
        )
        self.settings = settings.model_copy(update={"kafka": kafka})
        for spec in topic_specs(kafka, settings.worker):
            self._client.list_topics(spec.name, timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._client.flush(10)
        del self._client
