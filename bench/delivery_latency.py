"""From an event to its delivered decision, through both exact hops, at half of the top load.

The whole way as it runs in production: `learner worker` and `learner facilitator`, each a process
of its own, on a real Kafka. One thread sends events at a steady rate and reads, ``read_committed``,
what is decided and what is delivered; the clock is its own, so nothing depends on two clocks.
Every decision must have come once, and been delivered once, unless the log says that a newer one
of the same learner superseded it unsent: otherwise there is no report.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import orjson
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from agents.topics import DECISIONS, DELIVERIES, DELIVERY_LOG, EVENTS
from config.settings import FacilitatorSettings, KafkaSettings, Settings, WorkerSettings
from faults.command_process import CommandProcess
from faults.committed_records import committed_records
from simulation.classroom import simulate
from simulation.disturbance import routing_key

_WARM_UP_SECONDS = 5.0
_QUIET_SECONDS = 3.0
_START_SECONDS = 30.0
"""Within which the two processes must have begun."""


class Seen(NamedTuple):
    """A record of a topic and the second, by our clock, at which it was read."""

    topic: str
    at: float
    raw: bytes


def delivery_latency(
    bootstrap: str, events_per_s: float, seconds: float, rounds: int
) -> dict[str, float]:
    """``delivered_p50_ms``, ``delivered_p99_ms`` and the part of it up to the decision
    (``decided_…``), medians over the rounds."""
    settings = Settings(
        _env_file=None,
        kafka=KafkaSettings(bootstrap_servers=bootstrap, partitions=1),
        worker=WorkerSettings(app_id="bench-delivery", pin_trees=True),
        # Nobody acknowledges here; redeliveries would be a load that no user has.
        facilitator=FacilitatorSettings(ack_timeout_seconds=3600),
    )
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            CommandProcess(name, settings, Path(folder) / f"{name}.log")
            for name in ("worker", "facilitator")
        ]
        try:
            lines = simulate(learners=400, days=400, seed=5)
            _run(bootstrap, lines, events_per_s, _WARM_UP_SECONDS)
            runs = [_run(bootstrap, lines, events_per_s, seconds) for _ in range(rounds)]
            superseded = _superseded(bootstrap)
            results = [_figures(sent, seen, superseded) for sent, seen in runs]
        finally:
            for process in processes:
                process.kill()
    figures = {
        name: round(statistics.median(result[name] for result in results), 1) for name in results[0]
    }
    sys.stderr.write(
        f"at {events_per_s:,.0f} events/s: decided {figures['decided_p50_ms']} ms "
        f"(p99 {figures['decided_p99_ms']}), delivered {figures['delivered_p50_ms']} ms "
        f"(p99 {figures['delivered_p99_ms']}), {rounds} rounds of {seconds:.0f} s\n"
    )
    return {**figures, "delivered_at_events_per_s": round(events_per_s)}


def _run(
    bootstrap: str, lines: Iterator[bytes], events_per_s: float, seconds: float
) -> tuple[dict[str, float], list[Seen]]:
    """When each event was sent, and what came of them."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "acks": "all"})
    reader = _reader(bootstrap)
    sent: dict[str, float] = {}
    seen: list[Seen] = []
    due = list(islice(lines, round(events_per_s * seconds)))
    began = time.perf_counter()
    last = began + _START_SECONDS
    while len(sent) < len(due) or time.perf_counter() - last < _QUIET_SECONDS:
        now = time.perf_counter()
        for line in due[len(sent) : min(len(due), round((now - began) * events_per_s))]:
            producer.produce(EVENTS, value=line, key=routing_key(line), partition=0)
            sent[orjson.loads(line)["event_id"]] = time.perf_counter()
        producer.poll(0)
        for message in reader.consume(500, timeout=0.001):
            if message.error() is None:
                last = time.perf_counter()
                seen.append(Seen(message.topic(), last, message.value()))
    reader.close()
    return sent, seen


def _reader(bootstrap: str) -> Consumer:
    """At the end of both topics."""
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench-delivery-reader",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 5,
        }
    )
    reader.assign([_end_of(reader, topic) for topic in (DECISIONS, DELIVERIES)])
    reader.consume(1, timeout=0.5)
    return reader


def _end_of(reader: Consumer, topic: str) -> TopicPartition:
    for _ in range(50):
        with suppress(KafkaException):  # a new topic has no leader for a moment
            _, end = reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
            return TopicPartition(topic, 0, end)
        time.sleep(0.2)
    raise SystemExit(f"{topic} has no leader: no report")


def _superseded(bootstrap: str) -> set[str]:
    return {
        delivery["decision_id"]
        for message in committed_records(bootstrap, DELIVERY_LOG)[0]
        if (delivery := orjson.loads(message.value()))["response_status"] == "superseded"
    }


def _figures(
    sent: dict[str, float], seen: Sequence[Seen], superseded: set[str]
) -> dict[str, float]:
    decided: dict[str, float] = {}
    delivered: dict[str, float] = {}
    events: dict[str, str] = {}
    for record in seen:
        value = orjson.loads(record.raw)
        first = decided if record.topic == DECISIONS else delivered
        decision_id = value["decision_id"]
        if decision_id in first:
            raise SystemExit(f"{record.topic} has {decision_id} twice: no report")
        first[decision_id] = record.at
        events[decision_id] = value["event_id"]
    lost = decided.keys() - delivered.keys() - superseded
    if lost or delivered.keys() - decided.keys() or not delivered:
        raise SystemExit(
            f"{len(decided)} decisions, {len(delivered)} delivered, {len(lost)} lost: no report"
        )
    result = {"delivered_decisions_per_event": len(decided) / len(sent)}
    for name, times in {"decided": decided, "delivered": delivered}.items():
        waits = sorted(1000 * (at - sent[events[id_]]) for id_, at in times.items())
        result[f"{name}_p50_ms"] = waits[len(waits) // 2]
        result[f"{name}_p99_ms"] = waits[round(0.99 * (len(waits) - 1))]
    return result
