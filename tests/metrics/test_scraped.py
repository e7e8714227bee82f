"""A real Prometheus, with the rules that we ship, scrapes worker, trainer and sink at work."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from agents import topics
from agents.learner import LearnerAgent
from agents.metrics_worker import WorkerMetrics
from agents.partition_owner import Handled, PartitionOwner
from agents.sink import group_of
from agents.worker import CurrentTrees, rules
from config.settings import Settings
from faults.command_process import CommandProcess
from faults.committed_records import committed_records, group_lag, lag
from schemas.fields import TREE_IDS
from servers.kafka import free_ports
from servers.store_server import ChildServer
from sinks.registry import sink_of

SECONDS = 60
USERS = [f"0b9d7c1e-6a52-4a53-9a6b-2f3a5e8d1c{n:02d}" for n in range(8)]
Start = Callable[[Mapping[str, Sequence[int]]], ChildServer]


def answer(number: int, **changes: Any) -> bytes:
    event = {
        "event_id": f"8a4f0a3c-2f5b-4f1e-8a77-{number:012d}",
        "type": "quiz.submitted",
        "user_id": USERS[number % len(USERS)],
        "course_id": "algebra",
        "occurred_at": f"2026-03-01T10:{number % 60:02d}:00Z",
        "question_id": f"q{number}",
        "score": 0.5,
    }
    return json.dumps({**event, **changes}).encode()


def send(settings: Settings, values: Sequence[bytes]) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for number, value in enumerate(values):
        producer.produce(topics.EVENTS, value=value, key=USERS[number % len(USERS)])
    assert producer.flush(30) == 0


def until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < ends, "it did not come in time"
        time.sleep(0.2)


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # our own
        return bytes(answer.read())


class Asked:
    """Prometheus's HTTP API."""

    def __init__(self, server: ChildServer) -> None:
        self._url = f"{server.url}/api/v1"

    def series(self, query: str) -> dict[tuple[str, ...], float]:
        """Values by the labels' values, in the order of the labels' names, ours only."""
        quoted = urllib.parse.urlencode({"query": query})
        found = json.loads(get(f"{self._url}/query?{quoted}"))["data"]["result"]
        not_ours = {"__name__", "job", "instance"}
        return {
            tuple(v for k, v in sorted(one["metric"].items()) if k not in not_ours): float(
                one["value"][1]
            )
            for one in found
        }

    def value(self, query: str) -> float | None:
        """Of a query that has one result without labels, or none."""
        return self.series(query).get(())

    def rules(self) -> list[dict[str, Any]]:
        groups = json.loads(get(f"{self._url}/rules"))["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


def test_what_prometheus_shows_is_what_happened(
    fresh_kafka: Settings, tmp_path: Path, prometheus: Start, promtool: str
) -> None:
    in_tmp = fresh_kafka.duckdb.model_copy(update={"file": tmp_path / "learner.duckdb"})
    settings = fresh_kafka.model_copy(update={"duckdb": in_tmp})
    good = [answer(number) for number in range(200)]
    send(settings, [*good, *good[:3], answer(500, score="high"), b"{bad"])
    commands = {job: job for job in ("worker", "trainer", "facilitator")} | {"sink": "sink duckdb"}
    ports = dict(zip(commands, free_ports(len(commands)), strict=True))
    processes = {
        job: CommandProcess(f"{command} --metrics-port {ports[job]}", settings, tmp_path / job)
        for job, command in commands.items()
    }
    try:
        asked = Asked(prometheus({job: [port] for job, port in ports.items()}))
        until(lambda: asked.value("sum(learner_events_total)") == 205)
        until(lambda: lag(settings) == 0)
        worker_is_shown(settings, asked)
        sink_is_shown(settings, asked)
        trainer_is_shown(settings, asked)
        facilitator_is_shown(settings, asked)
        rules_are_evaluated(asked)
        for job, port in ports.items():
            text = get(f"http://127.0.0.1:{port}/metrics")
            done = subprocess.run([promtool, "check", "metrics"], input=text, check=False)
            assert done.returncode == 0, job
            assert not any(user.encode() in text for user in USERS), job
            assert f":{port}/metrics" in (tmp_path / job).read_text(), job

        processes["worker"].kill()
        pending = 'ALERTS{alertname="LearnerJobGone",alertstate="pending"}'
        until(lambda: asked.series(f"count by (alertname) ({pending})") != {})
        ended = {job: processes[job].terminate() for job in commands if job != "worker"}
        assert ended == {"trainer": 0, "facilitator": 0, "sink": 0}
    finally:
        for process in processes.values():
            process.kill()


def worker_is_shown(settings: Settings, asked: Asked) -> None:
    partitions = settings.kafka.partitions
    outcomes = {("folded",): 200, ("repeated",): 3, ("replayed",): 0, ("dead",): 2}
    assert asked.series("sum by (outcome) (learner_events_total)") == outcomes
    reasons = {("invalid_value",): 1, ("not_json",): 1}
    assert asked.series("learner_dead_letters_total > 0") == reasons
    sent = on_topic(settings, topics.DECISIONS)
    assert sent > 0
    assert asked.value("sum(learner_decisions_total)") == sent
    assert asked.value("sum(learner_decision_latency_seconds_count)") == 205
    assert asked.value("sum(learner_batch_events_sum)") == 205
    assert asked.value("sum(learner_partitions_owned)") == partitions
    assert asked.value("max(learner_partitions)") == partitions
    assert asked.series("learner_events_behind") == {(str(n),): 0 for n in range(partitions)}
    assert set(asked.series('learner_tree_version{job="worker"}').values()) == {0}


def sink_is_shown(settings: Settings, asked: Asked) -> None:
    group, wanted = group_of(settings.worker.app_id, "duckdb"), sink_of("duckdb", settings).topics
    until(lambda: group_lag(settings, group, wanted) == 0)
    written = "learner_sink_written_records_total > 200"
    until(lambda: asked.series(f"{written} and learner_sink_records_behind == 0") != {})
    assert asked.series("learner_sink_store_away") == {("duckdb",): 0}
    assert asked.series("learner_sink_refused_records_total") == {("duckdb",): 0}
    assert asked.series("learner_sink_write_seconds_count > 0") != {}


def trainer_is_shown(settings: Settings, asked: Asked) -> None:
    learned = on_topic(settings, topics.EXAMPLES)
    until(lambda: asked.value("sum(learner_examples_total)") == learned)
    assert asked.value("sum(learner_examples_behind)") == 0
    models = asked.series("count by (model) (learner_prequential_accuracy_ratio)")
    assert models == {("baseline",): 2, ("challenger",): 2, ("champion",): 2}


def facilitator_is_shown(settings: Settings, asked: Asked) -> None:
    decided = on_topic(settings, topics.DECISIONS)
    first = 'learner_delivery_attempts_total{attempt="first"}'
    # Of several decisions at once only the newest is sent; the log has each of them.
    until(lambda: _told(settings) == decided)
    sent = sum(d["attempt"] == 1 for d in _values(settings, topics.DELIVERIES))
    until(lambda: asked.value(f"sum({first})") == sent > 0)
    assert asked.value("sum(learner_delivery_decision_latency_seconds_count)") == sent
    assert asked.value("sum(learner_delivery_partitions_owned)") == settings.kafka.partitions
    # Nobody answers here: of each learner and tree one delivery waits, or has been given up.
    of_each = len(USERS) * len(TREE_IDS)
    given_up = 'sum(learner_dead_letters_total{reason="not_acknowledged"})'
    until(lambda: asked.value(f"sum(learner_deliveries_pending) + {given_up}") == of_each)


def _told(settings: Settings) -> int:
    """How many decisions the facilitator has told anything of."""
    return len({d["decision_id"] for d in _values(settings, topics.DELIVERY_LOG)})


def _values(settings: Settings, topic: str) -> list[dict[str, Any]]:
    kafka = settings.kafka
    found = committed_records(kafka.bootstrap_servers, topic, kafka.partitions)
    return [json.loads(message.value()) for messages in found.values() for message in messages]


def rules_are_evaluated(asked: Asked) -> None:
    """Without a fault. Some may be pending: the first events waited for the worker."""
    until(lambda: {rule["health"] for rule in asked.rules()} == {"ok"})
    alerts = {rule["name"]: rule["state"] for rule in asked.rules() if rule["type"] == "alerting"}
    assert len(alerts) > 20
    assert "firing" not in alerts.values()
    assert asked.value("learner:events_behind:sum") == 0


def on_topic(settings: Settings, topic: str) -> int:
    """How many committed records are there."""
    kafka = settings.kafka
    found = committed_records(kafka.bootstrap_servers, topic, kafka.partitions)
    return sum(map(len, found.values()))


async def test_lag_is_what_may_be_read_and_is_not_committed(
    fresh_kafka: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, handle = asyncio.Event(), PartitionOwner.handle

    async def handle_behind_the_gate(self: PartitionOwner, lists: Any) -> Handled:
        await gate.wait()
        return await handle(self, lists)

    monkeypatch.setattr(PartitionOwner, "handle", handle_behind_the_gate)
    metrics, left = WorkerMetrics(), list[BaseException]()
    worker, partitions = fresh_kafka.worker, fresh_kafka.kafka.partitions
    agent = LearnerAgent(
        fresh_kafka,
        rules(worker),
        CurrentTrees().compiled,
        left.append,
        partitions,
        metrics=metrics,
    )
    await agent.start()

    def behind() -> list[float]:
        family = next(f for f in metrics.registry.collect() if f.name == "learner_events_behind")
        return sorted(sample.value for sample in family.samples)

    def fetched() -> tuple[int, int]:
        """The end of learner.events as the worker knows it: all of it, and what may be read."""
        consumer = agent.app.consumer._reader._ensure_consumer()
        ends = [
            (consumer.highwater(tp), consumer.last_stable_offset(tp))
            for tp in consumer.assignment()
            if tp.topic == topics.EVENTS
        ]
        return sum(end for end, _ in ends), sum(stable for _, stable in ends)

    async def soon(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not holds():
                await asyncio.sleep(0.05)

    nothing = [0.0] * partitions
    await soon(lambda: behind() == nothing)
    lms = Producer(
        {
            "bootstrap.servers": fresh_kafka.kafka.bootstrap_servers,
            "transactional.id": f"{worker.app_id}-lms",
        }
    )
    lms.init_transactions()
    lms.begin_transaction()
    produce(lms, 5)
    await soon(lambda: fetched() == (5, 0))
    assert behind() == nothing  # nobody may read it yet
    lms.commit_transaction()
    await soon(lambda: behind() == [*nothing[1:], 6.0])  # the transaction's marker counts so far
    gate.set()
    await soon(lambda: behind() == nothing)
    assert metrics.registry.get_sample_value("learner_events_total", {"outcome": "folded"}) == 5
    lms.begin_transaction()
    produce(lms, 3)
    lms.abort_transaction()
    await soon(lambda: fetched() == (10, 10))
    await soon(lambda: behind() == nothing)  # there is nothing to fold behind the five
    await agent.stop()
    assert behind() == []
    assert left == []


def produce(producer: Producer, count: int) -> None:
    """Events of one learner."""
    for number in range(count):
        value = answer(number, user_id=USERS[0])
        producer.produce(topics.EVENTS, value=value, key=USERS[0])
    assert producer.flush(30) == 0


def test_a_port_that_is_taken_ends_the_command_with_one_line(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    first = CommandProcess(f"worker --metrics-port {port}", fresh_kafka, tmp_path / "first")
    try:
        until(lambda: f":{port}/metrics" in (tmp_path / "first").read_text())
        second = CommandProcess(f"trainer --metrics-port {port}", fresh_kafka, tmp_path / "second")
        assert second.wait() == 1
        said = (tmp_path / "second").read_text().strip().splitlines()[-1]
        assert said.startswith(f"learner: LEARNER_METRICS__PORT: {port} on 127.0.0.1 is taken")
        assert first.alive
    finally:
        first.kill()
