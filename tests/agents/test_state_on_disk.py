"""A worker with its state on disk: it goes on where it was, and trusts no state of other topics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from confluent_kafka import Producer

from agents.topics import EVENTS
from config.settings import Settings
from faults.command_process import CommandProcess
from faults.committed_records import lag
from faults.log_oracle import compare_with_replay
from faults.running_sinks import until
from faults.state_on_disk import with_state_on_disk
from faults.worker_slots import TAKEN_OVER
from servers.kafka_topics import make_anew
from simulation.classroom import simulate
from simulation.disturbance import routing_key

EVENTS_BEFORE, EVENTS_AFTER = 2_000, 100


@pytest.fixture
def on_disk(fresh_kafka: Settings, tmp_path: Path) -> Settings:
    settings = with_state_on_disk(fresh_kafka, tmp_path / "state")
    slot = settings.worker.model_copy(update={"instance_id": "a"})  # the next one need not wait
    return settings.model_copy(update={"worker": slot})


def send(settings: Settings, lines: Iterator[bytes], count: int) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for line in islice(lines, count):
        producer.produce(EVENTS, value=line, key=routing_key(line))
    assert producer.flush(30) == 0


def worked_off(settings: Settings, log: Path) -> int:
    """By a worker that is killed once nothing is left; how many records it restored."""
    worker = CommandProcess("worker", settings, log)
    try:
        until(lambda: TAKEN_OVER in log.read_text() and lag(settings) == 0, 60)
        assert worker.alive, log.read_text()
    finally:
        worker.kill()
    said = [json.loads(line) for line in log.read_text().splitlines() if TAKEN_OVER in line]
    return sum(one["restored"] for one in said)


def compared(settings: Settings) -> None:
    kafka = settings.kafka
    compare_with_replay(
        kafka.bootstrap_servers, kafka.partitions, settings.worker.app_id
    ).assert_exact()


def test_it_goes_on_where_it_was_killed(on_disk: Settings, tmp_path: Path) -> None:
    lines = simulate(learners=60, days=40, seed=2)
    send(on_disk, lines, EVENTS_BEFORE)
    assert worked_off(on_disk, tmp_path / "1.log") == 0
    send(on_disk, lines, EVENTS_AFTER)
    assert worked_off(on_disk, tmp_path / "2.log") < EVENTS_BEFORE
    assert worked_off(on_disk, tmp_path / "3.log") < EVENTS_AFTER * 6
    compared(on_disk)


def test_topics_made_anew_find_none_of_it(on_disk: Settings, tmp_path: Path) -> None:
    send(on_disk, simulate(learners=20, days=10, seed=2), 500)
    worked_off(on_disk, tmp_path / "1.log")
    make_anew(on_disk)
    send(on_disk, simulate(learners=20, days=10, seed=2), 500)
    assert worked_off(on_disk, tmp_path / "2.log") == 0
    compared(on_disk)
