"""What is judged of brokers, by worked examples."""

from __future__ import annotations

from typing import Any

import pytest

from config.settings import KafkaSettings
from doctor.broker import (
    BrokerFacts,
    LogDir,
    judge_copies_wanted,
    judge_defaults,
    judge_log_dirs,
    judge_requests,
)
from doctor.finding import Finding

SENT = {"Produce": (0, 8), "EndTxn": (0, 0)}
TAKEN = {"Produce": (3, 13), "EndTxn": (0, 5)}
NEW = {"metadata.version": 29, "transaction.version": 2}
GOOD = {"log.cleaner.enable": "true", "unclean.leader.election.enable": "false"}


def broker(node: int = 1, **changes: Any) -> BrokerFacts:
    return BrokerFacts(node, f"kafka-{node}:9092", TAKEN, NEW, GOOD)._replace(**changes)


def only(findings: Any) -> Finding:
    (finding,) = findings
    assert isinstance(finding, Finding)
    return finding


def test_brokers_that_take_all_that_we_send_are_well_and_told_with_their_features() -> None:
    finding = only(judge_requests([broker(1), broker(2)], SENT))
    assert finding.state == "ok"
    assert "2 at kafka-2:9092; metadata.version 29, transaction.version 2" in finding.found


@pytest.mark.parametrize("taken", [{"Produce": (3, 13)}, {**TAKEN, "Produce": (9, 13)}])
def test_a_request_that_is_not_taken_in_our_version_is_named(taken: Any) -> None:
    finding = only(judge_requests([broker(), broker(2, requests=taken)], SENT))
    assert finding.state == "wrong"
    assert ("broker 2: EndTxn" if "EndTxn" not in taken else "broker 2: Produce") in finding.found


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ({}, "older than 3.3"),
        ({"metadata.version": 20}, "of 3.8"),
        ({"metadata.version": 9}, "3.4"),
    ],
)
def test_an_old_cluster_is_a_warning(features: Any, said: str) -> None:
    finding = only(judge_requests([broker(features=features)], SENT))
    assert (finding.state, said in finding.found) == ("warning", True)


def test_brokers_that_disagree_are_in_mid_upgrade() -> None:
    finding = only(judge_requests([broker(), broker(2, features={"metadata.version": 25})], SENT))
    assert (finding.state, "do not agree" in finding.found) == ("warning", True)


@pytest.mark.parametrize(
    ("config", "brokers", "state", "said"),
    [
        (GOOD, 1, "ok", "nothing"),
        ({}, 1, "warning", "broker 1 does not tell"),
        ({"log.cleaner.enable": "false"}, 1, "wrong", "ever compacted"),
        ({"unclean.leader.election.enable": "true"}, 3, "wrong", "lags may become"),
        ({"transaction.max.timeout.ms": "30000"}, 1, "wrong", "30000"),
        ({"transaction.state.log.replication.factor": "1"}, 1, "ok", "nothing"),
        ({"transaction.state.log.replication.factor": "1"}, 3, "warning", "transactions' state"),
        ({"offsets.topic.replication.factor": "1"}, 3, "warning", "groups' positions"),
    ],
)
def test_settings_of_brokers(config: Any, brokers: int, state: str, said: str) -> None:
    finding = only(judge_defaults([broker(n + 1, config=config) for n in range(brokers)][:brokers]))
    assert (finding.state, said in finding.found) == (state, True), finding


@pytest.mark.parametrize(
    ("replication", "in_sync", "brokers", "state"),
    [
        (1, 1, 1, "ok"),
        (3, 2, 3, "ok"),
        (3, 2, 5, "ok"),
        (2, 1, 2, "warning"),  # what one alone has counts
        (3, 3, 3, "warning"),  # one away, and nothing can be written
        (1, 1, 3, "wrong"),  # one away, and its partitions are gone
        (3, 2, 1, "wrong"),  # no topic can be made
        (2, 3, 3, "wrong"),  # nothing can ever be written
    ],
)
def test_copies_wanted(replication: int, in_sync: int, brokers: int, state: str) -> None:
    kafka = KafkaSettings(replication=replication, min_insync_replicas=in_sync)
    finding = only(judge_copies_wanted(kafka, brokers))
    assert finding.state == state
    assert bool(finding.advice) == (state != "ok")


def test_disks() -> None:
    def told(*folders: LogDir) -> list[tuple[str, str]]:
        return [(f.state, f.found) for f in judge_log_dirs([broker(log_dirs=folders)])]

    assert told() == [("ok", "no broker tells how full its disks are")]
    assert told(LogDir("/k", 1000, 500)) == [("ok", "broker 1, /k: 500 B free (50%)")]
    assert told(LogDir("/k", 1000, 100)) == [("warning", "broker 1, /k: 100 B free (10%)")]
    assert told(LogDir("/k", 1000, 40)) == [("wrong", "broker 1, /k: 40 B free (4%)")]
    assert told(LogDir("/k", -1, -1, "KafkaStorageError")) == [
        ("wrong", "broker 1, /k: KafkaStorageError")
    ]
