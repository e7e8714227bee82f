"""A short run of each fault of workers: nothing is lost, doubled or different.

`make faults` runs the same at length; what a fault is stands in `faults.catalogue`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from faults import catalogue
from faults.worker_fault import WorkerFault, drawn
from servers.kafka import Kafka
from servers.kafka_jars import ServerUnavailable

SEED = int(os.environ.get("FAULT_SEED", "7"))
SHORT = (
    (catalogue.WORKER_KILLED, 4),
    (catalogue.WORKER_FROZEN, 2),
    (catalogue.WORKER_STOPPED, 2),
    (catalogue.WORKERS_JOIN_AND_LEAVE, 1),
    (catalogue.COMPACTION, 1),
    (catalogue.STATE_ON_DISK, 4),
    (catalogue.STATE_FOLDER, 2),
)
RATE = 150
"""Events a second, half of what `make faults` sends: the machine has other tests to run."""


@pytest.mark.parametrize(("fault", "rounds"), SHORT, ids=lambda value: getattr(value, "name", ""))
def test_nothing_is_lost_or_doubled(fault: WorkerFault, rounds: int, kafka_bootstrap: str) -> None:
    outcome = fault._replace(rate=RATE).run(kafka_bootstrap, rounds, SEED, progress=print)
    print(outcome.compared.events, outcome.notes)
    outcome.compared.assert_exact()
    assert outcome.rounds >= rounds


def test_no_room_under_the_folder_of_state(kafka_bootstrap: str) -> None:
    try:
        outcome = catalogue.STATE_DISK_FULL.run(kafka_bootstrap, 1, SEED, progress=print)
    except ServerUnavailable as error:
        pytest.skip(str(error))
    outcome.compared.assert_exact()
    assert outcome.notes["left"] > 0, "it never met the full disk"


def test_64_partitions(kafka_bootstrap: str) -> None:
    outcome = catalogue.PARTITIONS_64.run(kafka_bootstrap, 1, SEED, progress=print)
    outcome.compared.assert_exact()


def test_the_broker_killed_and_back(own_kafka: Callable[[], Kafka]) -> None:
    kafka = own_kafka()
    outcome = catalogue.BROKER_KILLED.run(kafka.bootstrap, 1, SEED, kafka, print)
    outcome.compared.assert_exact()


def test_tombstones_in_the_changelog(kafka_bootstrap: str) -> None:
    outcome = catalogue.TOMBSTONES.run(kafka_bootstrap, 1, SEED, progress=print)
    outcome.compared.assert_exact()
    assert outcome.notes["tombstones"] > 0


def test_a_seed_draws_the_same_steps() -> None:
    step = "start a|b kill sent 1..150"
    first, again = (drawn(step, random.Random(3)) for _ in range(2))
    assert first == again
    word, slot, *_, nth = first.split()
    assert (word, slot in "ab", 1 <= int(nth) <= 150) == ("start", True, True)
    assert 0.2 <= float(drawn("wait 0.2..3", random.Random(3)).split()[1]) <= 3


def test_the_catalogue_names_each_fault_once() -> None:
    assert all(fault.name == name and fault.asked >= 5 for name, fault in catalogue.FAULTS.items())
