"""Empties a test broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from confluent_kafka.admin import AdminClient

from agents.topic_admin import create_topics
from config.settings import Settings


def delete_topics(bootstrap: str) -> None:
    """Every topic but Kafka's own, and waits until the broker has forgotten them too."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    if names := _topics(admin):
        for deleted in admin.delete_topics(names, operation_timeout=10).values():
            deleted.result()
    limit = time.monotonic() + 10
    while left := _topics(admin):
        if time.monotonic() > limit:
            raise TimeoutError(f"deleted topics are still there: {left}")
        time.sleep(0.02)


def make_anew(settings: Settings) -> None:
    """Our topics, empty and led, and no others."""
    bootstrap = settings.kafka.bootstrap_servers
    delete_topics(bootstrap)
    made = asyncio.run(create_topics(settings))
    wait_for_leaders(bootstrap, [report.topic for report in made])


def wait_for_leaders(bootstrap: str, names: Iterable[str]) -> None:
    """Until every partition of these topics has one: before that a producer may be told that a
    topic which was made a moment ago does not exist."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    limit = time.monotonic() + 10
    while unled := set(names) - _led(admin):
        if time.monotonic() > limit:
            raise TimeoutError(f"topics of {bootstrap} have no leader: {sorted(unled)}")
        time.sleep(0.02)


def _led(admin: AdminClient) -> set[str]:
    topics = admin.list_topics(timeout=10).topics
    return {
        name
        for name, topic in topics.items()
        if topic.error is None and all(p.leader >= 0 for p in topic.partitions.values())
    }


def _topics(admin: AdminClient) -> list[str]:
    return [name for name in admin.list_topics(timeout=10).topics if not name.startswith("__")]
