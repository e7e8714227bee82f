"""Events sent at a steady rate, and when a ``read_committed`` reader sees what comes of them.

One thread sends and reads, so the clock is its own and nothing depends on two clocks.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

import orjson
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from agents.topics import EVENTS
from simulation.disturbance import routing_key

_QUIET_SECONDS = 3.0
_START_SECONDS = 30.0
"""Within which the processes under load must have begun."""


class Seen(NamedTuple):
    """A record of a topic and the second, by our clock, at which it was read."""

    topic: str
    at: float
    decision_id: str
    event_id: str


def steady_load(
    bootstrap: str,
    lines: Iterator[bytes],
    events_per_s: float,
    seconds: float,
    topics: Sequence[str],
) -> tuple[dict[str, float], list[Seen]]:
    """When each event was sent, by id, and what came of them in ``topics``, partition 0 of each.

    It ends once nothing more comes.
    """
    # Nothing is tried again, so nothing comes twice or late. Not idempotent: with its five requests
    # on their way librdkafka spins, and takes a core from a broker that stands still for a moment.
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 0,
            "enable.idempotence": False,
            "message.send.max.retries": 0,
        }
    )
    reader = reader_at_the_end(bootstrap, topics)
    sent: dict[str, float] = {}
    read: list[tuple[str, float, bytes]] = []
    # Ids and keys are looked up before, so that sending takes as little as it can.
    due = [
        (line, routing_key(line), orjson.loads(line)["event_id"])
        for line in islice(lines, round(events_per_s * seconds))
    ]
    # Its own full collections took a core for a tenth of a second, and the broker stood still.
    gc.collect()
    gc.disable()
    began = time.perf_counter()
    last = began + _START_SECONDS
    while len(sent) < len(due) or time.perf_counter() - last < _QUIET_SECONDS:
        now = time.perf_counter()
        for line, key, event_id in due[len(sent) : round((now - began) * events_per_s)]:
            producer.produce(EVENTS, value=line, key=key, partition=0)
            sent[event_id] = time.perf_counter()
        producer.poll(0)
        for message in reader.consume(500, timeout=0.001):
            if message.error() is None:
                last = time.perf_counter()
                read.append((message.topic(), last, message.value()))
    gc.enable()
    reader.close()
    values = [orjson.loads(raw) for _, _, raw in read]  # not before: it takes time
    return sent, [
        Seen(topic, at, value["decision_id"], value["event_id"])
        for (topic, at, _), value in zip(read, values, strict=True)
    ]


def reader_at_the_end(bootstrap: str, topics: Sequence[str]) -> Consumer:
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench-reader",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 5,
        }
    )
    reader.assign([_end_of(reader, topic) for topic in topics])
    reader.consume(1, timeout=0.5)
    return reader


def _end_of(reader: Consumer, topic: str) -> TopicPartition:
    for _ in range(50):
        with suppress(KafkaException):  # a new topic has no leader for a moment
            _, end = reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
            return TopicPartition(topic, 0, end)
        time.sleep(0.2)
    raise SystemExit(f"{topic} has no leader: no report")
