"""Quix Streams, the worker and the step alone make the same of one topic: decisions and states."""

from __future__ import annotations

from itertools import islice

import pytest

from agents.partition_tables import POSITION_KEY
from bench.contender_process import CONTENDERS, Run, Told, run_of, started
from bench.feed import feed
from bench.results_agree import assert_same_decisions
from config.settings import Settings
from faults.committed_records import committed
from schemas.topics import EVENTS, TABLES, changelog
from simulation.classroom import simulate

SENT = 400


@pytest.mark.skipif(
    not CONTENDERS["quix"].python.exists(), reason="Quix Streams: `make bench` installs it"
)
def test_they_decide_alike(fresh_kafka: Settings) -> None:
    kafka = fresh_kafka.kafka
    sent = feed(kafka.bootstrap_servers, islice(simulate(learners=20, days=30, seed=3), SENT))
    assert sent == SENT
    told = Told("", kafka.bootstrap_servers, fresh_kafka.worker.app_id, kafka.partitions, sent)
    runs = {kind: run(told._replace(kind=kind)) for kind in ("lists", "quix", "step")}
    decided = assert_same_decisions(told.bootstrap, told.partitions, runs=2)
    assert runs["step"].decisions == decided
    assert runs["quix"].events == sent - 1
    assert all(found.cpu_seconds > 0 for found in runs.values())
    ours = {
        b"|".join((table.encode(), key)): value
        for table in TABLES
        for key, value in latest(told, changelog(told.app_id, table)).items()
        if key != POSITION_KEY
    }
    theirs = latest(told, f"changelog__{told.app_id}-quix--{EVENTS}--default")
    assert len(ours) > 20
    assert {key.partition(b"|")[2]: value for key, value in theirs.items()} == ours


def latest(told: Told, topic: str) -> dict[bytes, bytes | None]:
    """By key, what a changelog says last."""
    messages = committed(told.bootstrap, topic, range(told.partitions))
    return {message.key() or b"": message.value() for message in messages}


def run(told: Told) -> Run:
    group = f"{told.app_id}-quix" if told.kind == "quix" else told.app_id
    with started(told._replace(app_id=group)) as process:
        return run_of(process)
