"""The broker that a benchmark measures against: of its own, with a broker's own JVM options."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Set
from contextlib import contextmanager

from agents.topic_admin import create_topics
from config.settings import KafkaSettings, Settings, WorkerSettings
from servers.kafka import LASTING, Kafka, start_kafka

PARTITIONS = 1


@contextmanager
def measured_kafka() -> Iterator[Kafka]:
    kafka = start_kafka(LASTING)
    try:
        yield kafka
    finally:
        kafka.stop()


def settings_for(bootstrap: str, app_id: str) -> Settings:
    """Of a worker, whose topics it makes where they are not there yet."""
    settings = Settings(
        _env_file=None,
        kafka=KafkaSettings(bootstrap_servers=bootstrap, partitions=PARTITIONS),
        worker=WorkerSettings(app_id=app_id),
    )
    asyncio.run(create_topics(settings))
    return settings


def topic_bytes(kafka: Kafka, name: str) -> int | None:
    """On the broker's disk, in all topics whose name matches (``*`` is any text); ``None`` if the
    disk is not to be seen, as in a container."""
    data = getattr(kafka, "data", None)
    if data is None:
        return None
    return sum(log.stat().st_size for log in data.glob(f"log/{name}-[0-9]*/*.log"))


def pin_broker(pid: int | None, workers: Set[int] = frozenset({0})) -> None:
    """To all cores but those of the workers; it stays on all where none is left."""
    cores = os.sched_getaffinity(0) - workers
    if pid is not None and cores:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), cores)
