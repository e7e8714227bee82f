"""From an event to its delivered decision, through both exact hops, at half of the top load.

The whole way as it runs in production: `learner worker` and `learner facilitator`, each a process
of its own, on a real Kafka; nothing is pinned, so all of them, the load and the reader share the
machine. `bench.steady_load` sends, and reads what is decided and what is delivered. The top load is
what the worker decides of a preloaded topic with the facilitator beside it.

Every decision must have come once, and been delivered once, unless the log says that a newer one
of the same learner superseded it unsent: otherwise there is no report.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import orjson
from prometheus_client.parser import text_string_to_metric_families

from agents.topics import DECISIONS, DELIVERIES, DELIVERY_LOG
from bench.percentiles import percentiles
from bench.steady_load import Seen, steady_load
from config.settings import (
    FacilitatorSettings,
    KafkaSettings,
    MetricsSettings,
    Settings,
    WorkerSettings,
)
from faults.command_process import CommandProcess
from faults.committed_records import committed_records
from servers.kafka import free_ports
from simulation.classroom import simulate

DELIVERY_APP_ID = "bench-delivery"
_WARM_UP = ((500, 10.0), (1_000, 10.0), (2_000, 50.0))
"""Events a second, for so many seconds: a broker that has just started takes a core for compiling
itself, for two minutes until the top load was measured as well; none in production is so young."""
_LONE_EVENTS_PER_S, _LONE_SECONDS = 5, 20.0
_TOP_LOAD_EVENTS = 30_000
_STAGES = (
    "learner_decision_latency_seconds",
    "learner_decision_execution_seconds",
    "learner_transaction_seconds",
    "learner_delivery_decision_latency_seconds",
)


def delivery_latency(bootstrap: str, seconds: float, rounds: int) -> dict[str, float]:
    """Medians over the rounds, each of so many seconds at half of the top load.

    Returns:
        ``delivered_p50_ms``, ``delivered_p99_ms``; the part of it up to the decision
        (``latency_…``); the load; and the latter for events that come alone (``lone_latency_…``).
    """
    settings = Settings(
        _env_file=None,
        kafka=KafkaSettings(bootstrap_servers=bootstrap, partitions=1),
        worker=WorkerSettings(app_id=DELIVERY_APP_ID, pin_trees=True),
        # Nobody acknowledges here; redeliveries would be a load that no user has.
        facilitator=FacilitatorSettings(ack_timeout_seconds=3600),
    )
    ports = free_ports(2)
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            CommandProcess(
                name,
                settings.model_copy(update={"metrics": MetricsSettings(port=port)}),
                Path(folder) / f"{name}.log",
            )
            for name, port in zip(("worker", "facilitator"), ports, strict=True)
        ]
        try:
            lines = simulate(learners=2_000, days=400, seed=5)
            for rate, for_seconds in _WARM_UP:
                _load(bootstrap, lines, rate, for_seconds)
            top = statistics.median(_top_load(bootstrap, lines) for _ in range(3))
            before = _stages(ports)
            runs = [_load(bootstrap, lines, top / 2, seconds) for _ in range(rounds)]
            after = _stages(ports)
            lone = _load(bootstrap, lines, _LONE_EVENTS_PER_S, _LONE_SECONDS)
            superseded = _superseded(bootstrap)
            results = [_figures(sent, seen, superseded) for sent, seen in runs]
            alone = _figures(*lone, superseded)
        finally:
            for process in processes:
                process.kill()
    figures = {
        name: round(statistics.median(result[name] for result in results), 1) for name in results[0]
    }
    where = _where(before, after, figures)
    sys.stderr.write(
        f"at {top / 2:,.0f} events/s, half of {top:,.0f}: decided {figures['latency_p50_ms']} ms "
        f"(p99 {figures['latency_p99_ms']}), delivered {figures['delivered_p50_ms']} ms "
        f"(p99 {figures['delivered_p99_ms']}), {rounds} rounds of {seconds:.0f} s\n"
        + "".join(f"    {ms:6.1f} ms  {stage}\n" for stage, ms in where.items())
        + f"a lone event: decided {alone['latency_p50_ms']} ms (p99 {alone['latency_p99_ms']})\n"
    )
    return {
        **figures,
        "delivered_at_events_per_s": round(top / 2),
        "lone_latency_p50_ms": alone["latency_p50_ms"],
        "lone_latency_p99_ms": alone["latency_p99_ms"],
    }


def _load(
    bootstrap: str, lines: Iterator[bytes], events_per_s: float, seconds: float
) -> tuple[dict[str, float], list[Seen]]:
    return steady_load(bootstrap, lines, events_per_s, seconds, (DECISIONS, DELIVERIES))


def _top_load(bootstrap: str, lines: Iterator[bytes]) -> float:
    """Events a second that are decided if as many as there may be are there at once."""
    sent, seen = _load(bootstrap, lines, _TOP_LOAD_EVENTS, 1.0)
    decided = [record.at for record in seen if record.topic == DECISIONS]
    return len(sent) / (max(decided) - min(sent.values()))


def _stages(ports: Sequence[int]) -> dict[str, tuple[float, float]]:
    """Sum and count of each histogram in ``_STAGES`` so far, by what the processes tell."""
    found: dict[str, tuple[float, float]] = {}
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            for family in text_string_to_metric_families(answer.read().decode()):
                if family.name in _STAGES:
                    values = {sample.name: sample.value for sample in family.samples}
                    found[family.name] = (
                        values[f"{family.name}_sum"],
                        values[f"{family.name}_count"],
                    )
    return found


def _where(
    before: Mapping[str, tuple[float, float]],
    after: Mapping[str, tuple[float, float]],
    figures: Mapping[str, float],
) -> dict[str, float]:
    """Mean milliseconds of each stage, in the order in which they happen."""
    latency, execution, transaction, picked_up = (
        1000 * (after[name][0] - before[name][0]) / max(1, after[name][1] - before[name][1])
        for name in _STAGES
    )
    return {
        "from Kafka to the worker, and until the batch before is through": latency - execution,
        "worker: decode, folds, trees, encoding of a batch": execution - transaction,
        "worker: transaction": transaction,
        "from Kafka to the facilitator, and until the round before is through": picked_up,
        "the facilitator's hop as a reader sees it (difference of the p50s)": (
            figures["delivered_p50_ms"] - figures["latency_p50_ms"]
        ),
    }


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
        first = decided if record.topic == DECISIONS else delivered
        if record.decision_id in first:
            raise SystemExit(f"{record.topic} has {record.decision_id} twice: no report")
        first[record.decision_id] = record.at
        events[record.decision_id] = record.event_id
    lost = decided.keys() - delivered.keys() - superseded
    if lost or delivered.keys() - decided.keys() or not delivered:
        raise SystemExit(
            f"{len(decided)} decisions, {len(delivered)} delivered, {len(lost)} lost: no report"
        )
    result = {"delivered_decisions_per_event": len(decided) / len(sent)}
    for name, times in {"latency": decided, "delivered": delivered}.items():
        result |= percentiles(name, [at - sent[events[id_]] for id_, at in times.items()])
    return result
