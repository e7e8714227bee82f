"""How the worker's changelogs stand on Kafka: compacted or not, with tombstones or without."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import Message
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from agents.topics import TABLES, changelog
from config.settings import Settings
from faults.committed_records import committed_records

_HARD = {
    "segment.ms": "300",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "3000",
    "max.compaction.lag.ms": "1000",
}
_BROKER = {"log.cleaner.backoff.ms": "100"}


def compact_hard(settings: Settings) -> None:
    """From now on the broker compacts the changelogs all the time."""
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    names = [changelog(settings.worker.app_id, table) for table in TABLES]
    asked = [_resource(ResourceType.TOPIC, name, _HARD) for name in names]
    asked.append(_resource(ResourceType.BROKER, "1", _BROKER))
    for done in admin.incremental_alter_configs(asked).values():
        done.result(10)


def records_per_key(settings: Settings) -> float:
    """1 if all is compacted; as many as a key has had values if nothing ever was."""
    records, keys = 0, set()
    for message in _changelogs(settings):
        records += 1
        keys.add((message.topic(), message.key()))
    return records / max(len(keys), 1)


def tombstones(settings: Settings) -> int:
    """Deleted keys that the changelogs still tell of."""
    return sum(message.value() is None for message in _changelogs(settings))


def _changelogs(settings: Settings) -> Iterator[Message]:
    kafka = settings.kafka
    for table in TABLES:
        name = changelog(settings.worker.app_id, table)
        found = committed_records(kafka.bootstrap_servers, name, kafka.partitions)
        for messages in found.values():
            yield from messages


def _resource(kind: ResourceType, name: str, config: dict[str, str]) -> ConfigResource:
    entries = [
        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        for key, value in config.items()
    ]
    return ConfigResource(kind, name, incremental_configs=entries)
