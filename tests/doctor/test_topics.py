"""What is judged of topics, changelogs and transactions, by worked examples."""

from __future__ import annotations

import pytest

from agents.topic_admin import TopicReport
from agents.topics import topic_specs
from config.settings import KafkaSettings, WorkerSettings
from doctor import topics
from doctor.compaction import ChangelogFacts, due, judge_compaction
from doctor.topics import PartitionFacts, judge_replicas, judge_topics
from doctor.transactions import LONGEST_SECONDS, OpenTransaction, judge_transactions

MEGABYTE = 1_000_000


def test_topics_that_are_all_ready() -> None:
    (finding,) = judge_topics([TopicReport("a", "ready"), TopicReport("b", "ready")])
    assert (finding.state, finding.found) == ("ok", "all 2, made as we need them")


def test_missing_and_differing_topics_are_each_told() -> None:
    missing, policy, retention = judge_topics(
        [
            TopicReport("a", "missing"),
            TopicReport("b", "ready"),
            TopicReport(
                "c", "differs", ("cleanup.policy delete, need compact", "retention.ms 1, need 2")
            ),
        ]
    )
    assert (missing.state, missing.found) == ("wrong", "1 of 3 missing: a")
    assert "learner topics create" in missing.advice
    assert (policy.check, policy.state) == ("c", "wrong")
    assert (retention.check, retention.state) == ("c", "warning")


def test_there_is_advice_for_every_setting_that_is_compared() -> None:
    specs = topic_specs(KafkaSettings(), WorkerSettings())
    compared = {name for spec in specs for name in spec.config}
    compared |= {"partitions", "replication", "min.insync.replicas"}
    assert compared == set(topics._ADVICE)


@pytest.mark.parametrize(
    ("leader", "in_sync", "state", "check"),
    [
        (1, 3, "ok", "copies in sync"),
        (1, 2, "warning", "copies in sync"),
        (1, 1, "wrong", "copies in sync"),  # fewer than the two that a write needs
        (-1, 0, "wrong", "leaders"),
    ],
)
def test_a_partition(leader: int, in_sync: int, state: str, check: str) -> None:
    partitions = [PartitionFacts("t", 0, 2, 3, 3), PartitionFacts("t", 1, leader, 3, in_sync)]
    (finding,) = judge_replicas(partitions, {"t": 2})
    assert (finding.state, finding.check) == (state, check)
    assert ("t/1" in finding.found) == (state != "ok")


def changelog(size: int, first: int = 0, span: int = 0) -> ChangelogFacts:
    return ChangelogFacts("x-profile-changelog", 0, size, MEGABYTE, first, span, 86_400.0 * 30)


def test_only_a_partition_of_more_than_two_segments_is_due() -> None:
    assert [due(size, MEGABYTE) for size in (0, 2 * MEGABYTE, 2 * MEGABYTE + 1)] == [0, 0, 1]


@pytest.mark.parametrize(
    ("log", "state", "said"),
    [
        (changelog(MEGABYTE), "ok", "not due yet"),
        (changelog(5 * MEGABYTE, first=500, span=90_000), "ok", "alive"),
        (changelog(5 * MEGABYTE, first=500, span=500), "warning", "never compacted"),
        (changelog(5 * MEGABYTE, first=500, span=1000), "warning", "30 days old"),  # markers
        (changelog(5 * MEGABYTE, first=500, span=1500), "ok", "alive"),
    ],
)
def test_compaction(log: ChangelogFacts, state: str, said: str) -> None:
    (finding,) = judge_compaction([log, changelog(10)])
    assert (finding.state, said in finding.found) == (state, True), finding


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(0.5, "ok"), (LONGEST_SECONDS, "ok"), (LONGEST_SECONDS + 1, "wrong"), (None, "wrong")],
)
def test_a_transaction_hangs_once_it_is_older_than_any_of_ours(
    seconds: float | None, state: str
) -> None:
    open_ = [OpenTransaction("learner.events", 2, 70, 30, seconds)]
    (finding,) = judge_transactions(8, open_, "kafka-1:9092")
    assert finding.state == state
    if state == "wrong":
        assert "learner.events/2 at offset 70 (30 records wait" in finding.found
        assert "--bootstrap-server kafka-1:9092 find-hanging" in finding.advice


def test_no_transaction_is_open() -> None:
    (finding,) = judge_transactions(8, [], "k")
    assert (finding.state, finding.found) == ("ok", "none hangs in 8 partitions")
