"""`make bench`: every benchmark, and one closing JSON line.

``worker``: the worker on a real Kafka against the same step in an ordinary one-event-at-a-time
Faust agent with the same tables and output topic: both read the same preloaded topic, in turn, each
pinned to one core with the broker on the others, each from a fresh group. ``delivery``: from an
event to its delivered decision (`bench.delivery_latency`). ``chat``: learners at one gateway
(`bench.chat_load`). ``sinks``: against the bulk paths of their stores (`bench.sink_rates`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from agents.topic_admin import create_topics
from bench.chat_load import chat_load
from bench.delivery_latency import DELIVERY_APP_ID, delivery_latency
from bench.feed import feed
from bench.results_agree import assert_same_decisions
from bench.sink_rates import sink_rates
from config.settings import KafkaSettings, Settings, WorkerSettings
from servers.kafka import LASTING, Kafka, start_kafka
from simulation.classroom import simulate

PARTS = ("worker", "delivery", "chat", "sinks")
PARTITIONS = 1
_DELIVERY_SECONDS = 15.0
_CHAT_SECONDS = 100.0
_CHAT_PAUSE_SECONDS = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--events", type=int, default=60_000, help="preloaded events")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each, in turn")
    parser.add_argument("--sink-records", type=int, default=50_000, help="for each run of a sink")
    parser.add_argument("--learners", type=int, default=10_000, help="connected to the gateway")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be repeated")
    args = parser.parse_args()
    result: dict[str, object] = {}
    for part in args.only or PARTS:
        match part:
            case "worker":
                with _kafka() as kafka:
                    _pin_broker(kafka.pid)
                    result |= throughput(kafka.bootstrap, args.events, args.rounds)
            case "delivery":
                with _kafka() as kafka:
                    _create(_kafka_settings(kafka.bootstrap), DELIVERY_APP_ID)
                    result |= delivery_latency(kafka.bootstrap, _DELIVERY_SECONDS, args.rounds)
            case "chat":
                result |= chat_load(args.learners, _CHAT_SECONDS, _CHAT_PAUSE_SECONDS)
            case "sinks":
                result |= sink_rates(args.sink_records, args.rounds)
    print(json.dumps(result))


@contextmanager
def _kafka() -> Iterator[Kafka]:
    kafka = start_kafka(LASTING)
    try:
        yield kafka
    finally:
        kafka.stop()


def _kafka_settings(bootstrap: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=bootstrap, partitions=PARTITIONS)


def throughput(bootstrap: str, events: int, rounds: int) -> dict[str, object]:
    """Events per second of both, and the ratio round by round."""
    settings = _kafka_settings(bootstrap)
    rates: dict[str, list[float]] = {"lists": [], "per_event": []}
    cpu: dict[str, list[float]] = {"lists": [], "per_event": []}
    _create(settings, "warm-up")
    sent = _preload(bootstrap, events)
    for round_ in range(rounds):
        for kind, measured in rates.items():
            app_id = f"bench-{kind.replace('_', '-')}-{round_}"
            _create(settings, app_id)
            result = _contend(kind, settings, app_id, sent)
            measured.append(result["events"] / result["seconds"])
            cpu[kind].append(1e6 * result["cpu_seconds"] / result["events"])
            print(
                f"round {round_ + 1}/{rounds} {kind:>9}: {measured[-1]:8,.0f} events/s, "
                f"{cpu[kind][-1]:5.0f} µs CPU/event",
                file=sys.stderr,
            )
    assert_same_decisions(bootstrap, PARTITIONS, 2 * rounds)
    ratios = [a / b for a, b in zip(rates["lists"], rates["per_event"], strict=True)]
    return {
        "events": sent,
        "rounds": rounds,
        "ratio_vs_per_event": round(statistics.median(ratios), 2),
        "ratio_vs_per_event_min": round(min(ratios), 2),
        "ratio_vs_per_event_max": round(max(ratios), 2),
        "events_per_s": round(statistics.median(rates["lists"])),
        "events_per_s_per_event": round(statistics.median(rates["per_event"])),
        "cpu_us_per_event": round(statistics.median(cpu["lists"]), 1),
        "cpu_us_per_event_per_event": round(statistics.median(cpu["per_event"]), 1),
    }


def _contend(kind: str, kafka: KafkaSettings, app_id: str, events: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.contender", kind, "--app-id", app_id]
    command += ["--bootstrap", kafka.bootstrap_servers, "--partitions", str(kafka.partitions)]
    command += ["--events", str(events), "--core", "0"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _create(kafka: KafkaSettings, app_id: str) -> None:
    settings = Settings(_env_file=None, kafka=kafka, worker=WorkerSettings(app_id=app_id))
    asyncio.run(create_topics(settings))


def _preload(bootstrap: str, events: int) -> int:
    return feed(bootstrap, islice(simulate(learners=400, days=120, seed=1), events))


def _pin_broker(pid: int | None) -> None:
    cores = os.sched_getaffinity(0) - {0}
    if pid is not None and cores:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), cores)


if __name__ == "__main__":
    main()
