"""Brokers lost, frozen and moved, and the network to them cut and slowed, under load.

Afterwards tables, decisions, examples and dead letters are compared with a replay of the log:
nothing lost, doubled or different; and a worker that left said why. A short one of each kind; the
rest in rounds, by ``make faults``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from faults.broker_fault import RATE, Do, disturbed
from faults.broker_faults import (
    BROKER_FAULTS,
    broker_frozen,
    broker_killed,
    leaders_moved,
    network_black_hole,
    network_held,
    network_late,
    network_narrow,
    network_refused,
)
from servers.kafka_cluster import KafkaCluster


def test_brokers_lost_frozen_and_moved(kafka_cluster: KafkaCluster, tmp_path: Path) -> None:
    one_after_the_other = ((broker_killed, 1), (leaders_moved, 2), (broker_frozen, 6))
    _assert_exact(kafka_cluster, tmp_path, one_after_the_other, seed=1)


def test_network_cut_and_slowed(kafka_cluster: KafkaCluster, tmp_path: Path) -> None:
    one_after_the_other = (
        (network_refused, 1),
        (network_black_hole, 1),
        (network_held, 1),
        (network_late, 1),
        (network_narrow, 1),
    )
    _assert_exact(kafka_cluster, tmp_path, one_after_the_other, seed=2)


def test_every_fault_says_what_it_does() -> None:
    assert all(fault.about for fault in BROKER_FAULTS)
    assert len({fault.name for fault in BROKER_FAULTS}) == len(BROKER_FAULTS) == 15


def _assert_exact(
    cluster: KafkaCluster, folder: Path, steps: Sequence[tuple[Do, float]], seed: int
) -> None:
    found = disturbed(cluster, folder, steps, seed)
    print(json.dumps({"events": found.compared.events, **found.notes}))
    found.compared.assert_exact()
    assert found.compared.events > RATE
    assert not found.unclear, found.unclear[0]
