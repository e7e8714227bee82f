"""Sends events to learner.events as fast as Kafka takes them."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import Producer

from agents import topics
from simulation.disturbance import routing_key


def feed(bootstrap: str, events: Iterable[bytes]) -> int:
    """How many were sent; all of them are there when it returns."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20})
    sent = 0
    for sent, line in enumerate(events, 1):  # noqa: B007  # the last one is the count
        while True:
            try:
                producer.produce(topics.EVENTS, value=line, key=routing_key(line))
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()
    return sent
