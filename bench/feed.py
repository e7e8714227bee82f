"""Sends records as fast as Kafka takes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from confluent_kafka import Producer

from agents import topics
from simulation.disturbance import routing_key


class Keyed(NamedTuple):
    """A record for ``topic``."""

    topic: str
    key: bytes
    value: bytes


def feed(bootstrap: str, events: Iterable[bytes]) -> int:
    """Sends them to ``learner.events``; see `send`."""
    return send(bootstrap, (Keyed(topics.EVENTS, routing_key(line), line) for line in events))


def send(bootstrap: str, records: Iterable[Keyed]) -> int:
    """How many were sent; all of them are there when it returns."""
    # Idempotent, so that what is tried again keeps its place in the order.
    producer = Producer(
        {"bootstrap.servers": bootstrap, "linger.ms": 20, "enable.idempotence": True}
    )
    sent = 0
    for sent, record in enumerate(records, 1):  # noqa: B007  # the last one is the count
        while True:
            try:
                producer.produce(record.topic, value=record.value, key=record.key)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()
    return sent
