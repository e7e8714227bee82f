"""Our topics: names (of ``schemas.topics``), and how each is made on Kafka."""

from __future__ import annotations

from typing import NamedTuple

from config.settings import KafkaSettings, WorkerSettings
from schemas.topics import (
    ACKS,
    ADOPTIONS,
    CHAT,
    DEAD_LETTERS,
    DECISIONS,
    DELIVERIES,
    DELIVERY_LOG,
    EVENTS,
    EXAMPLES,
    PENDING,
    PROMPT_SETS,
    SETTLED_LETTERS,
    SNAPSHOTS,
    TABLES,
    TREE_VERSIONS,
    changelog,
)

__all__ = [
    "ACKS",
    "ADOPTIONS",
    "CHAT",
    "DEAD_LETTERS",
    "DECISIONS",
    "DELIVERIES",
    "DELIVERY_LOG",
    "EVENTS",
    "EXAMPLES",
    "MOST_EVENT_RECORD_BYTES",
    "PENDING",
    "PROMPT_SETS",
    "SETTLED_LETTERS",
    "SNAPSHOTS",
    "TABLES",
    "TREE_VERSIONS",
    "TopicSpec",
    "changelog",
    "topic_specs",
]

_MEGABYTE = 1_048_576
_DAY_MS = 86_400_000

MOST_EVENT_RECORD_BYTES = 4 * _MEGABYTE
"""Of a record on ``learner.events``, with what Kafka puts around it."""


class TopicSpec(NamedTuple):
    """``config`` holds Kafka's own topic settings."""

    name: str
    partitions: int
    config: dict[str, str]


def topic_specs(kafka: KafkaSettings, worker: WorkerSettings) -> tuple[TopicSpec, ...]:
    """Every topic to create.

    ``learner.events`` takes records larger than an event may be, so that they end in
    ``learner.dlq``, whole, and not as an error at the producer.
    """
    compacted = {"cleanup.policy": "compact"}
    # Kafka compacts no segment that is still written to, and lets one be until it has 1 GB: a
    # worker that starts again would read most of what it ever wrote.
    tables = {
        **compacted,
        "segment.bytes": str(64 * _MEGABYTE),
        "segment.ms": str(10 * 60 * 1000),
        "min.cleanable.dirty.ratio": "0.2",
    }
    kept = {"cleanup.policy": "delete", "retention.ms": str(30 * _DAY_MS)}
    events = {**kept, "max.message.bytes": str(MOST_EVENT_RECORD_BYTES)}
    letters = {**kept, "max.message.bytes": str(8 * _MEGABYTE)}
    return (
        TopicSpec(EVENTS, kafka.partitions, events),
        TopicSpec(DEAD_LETTERS, kafka.partitions, letters),
        TopicSpec(DECISIONS, kafka.partitions, kept),
        TopicSpec(EXAMPLES, kafka.partitions, {**kept, "retention.ms": "-1"}),
        TopicSpec(ADOPTIONS, kafka.partitions, {**kept, "retention.ms": "-1"}),
        TopicSpec(CHAT, kafka.partitions, kept),
        TopicSpec(DELIVERIES, kafka.partitions, kept),
        TopicSpec(ACKS, kafka.partitions, kept),
        TopicSpec(DELIVERY_LOG, kafka.partitions, kept),
        TopicSpec(TREE_VERSIONS, 1, compacted),
        TopicSpec(PROMPT_SETS, 1, compacted),
        TopicSpec(SETTLED_LETTERS, 1, compacted),
        TopicSpec(SNAPSHOTS, 1, {**compacted, "max.message.bytes": str(8 * _MEGABYTE)}),
        *(
            TopicSpec(changelog(worker.app_id, table), kafka.partitions, tables)
            for table in (*TABLES, PENDING)
        ),
    )
