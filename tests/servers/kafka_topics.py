"""Empties a test broker."""

from __future__ import annotations

import time

from confluent_kafka.admin import AdminClient


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


def _topics(admin: AdminClient) -> list[str]:
    return [name for name in admin.list_topics(timeout=10).topics if not name.startswith("__")]
