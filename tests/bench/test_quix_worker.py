"""Quix Streams, the worker and the step alone make the same decisions of the same topic."""

from __future__ import annotations

from itertools import islice

import pytest

from bench.contender_process import CONTENDERS, Run, Told, run_of, started
from bench.feed import feed
from bench.results_agree import assert_same_decisions
from config.settings import Settings
from simulation.classroom import simulate

EVENTS = 400


@pytest.mark.skipif(
    not CONTENDERS["quix"].python.exists(), reason="Quix Streams: `make bench` installs it"
)
def test_they_decide_alike(fresh_kafka: Settings) -> None:
    kafka = fresh_kafka.kafka
    sent = feed(kafka.bootstrap_servers, islice(simulate(learners=20, days=30, seed=3), EVENTS))
    assert sent == EVENTS
    told = Told("", kafka.bootstrap_servers, fresh_kafka.worker.app_id, kafka.partitions, sent)
    runs = {kind: run(told._replace(kind=kind)) for kind in ("lists", "quix", "step")}
    decided = assert_same_decisions(told.bootstrap, told.partitions, runs=2)
    assert runs["step"].decisions == decided
    assert runs["quix"].events == sent - 1
    assert all(found.cpu_seconds > 0 for found in runs.values())


def run(told: Told) -> Run:
    group = f"{told.app_id}-quix" if told.kind == "quix" else told.app_id
    with started(told._replace(app_id=group)) as process:
        return run_of(process)
