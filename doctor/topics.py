"""What is judged of our topics: that they are there, as we need them, with all their copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from agents.topic_admin import TopicReport
from doctor.finding import Finding, State, listed

GROUP = "topics"

_ADVICE: Mapping[str, tuple[State, str]] = {
    "partitions": (
        "wrong",
        "learners would move to other partitions than their state: make it anew with the number "
        "that we need, or set LEARNER_KAFKA__PARTITIONS to what is there everywhere",
    ),
    "replication": (
        "warning",
        "change it by kafka-reassign-partitions.sh, or set LEARNER_KAFKA__REPLICATION",
    ),
    "cleanup.policy": ("wrong", "kafka-configs.sh --alter --add-config sets it; what was deleted "
                       "by the wrong policy is gone: see docs/operations.md, Topics"),
    "max.message.bytes": ("wrong", "records as large as we need would be refused: set it by "
                          "kafka-configs.sh --alter --add-config"),
    "retention.ms": ("warning", "set it by kafka-configs.sh --alter --add-config, unless you "
                     "meant it"),
    "min.insync.replicas": ("warning", "set it by kafka-configs.sh --alter --add-config, or set "
                            "LEARNER_KAFKA__MIN_INSYNC_REPLICAS"),
    **dict.fromkeys(
        ("segment.bytes", "segment.ms", "min.cleanable.dirty.ratio"),
        ("warning", "Kafka compacts it late, so a worker that starts reads what is overwritten: "
         "set it by kafka-configs.sh --alter --add-config"),
    ),
}  # fmt: skip


class PartitionFacts(NamedTuple):
    """``leader`` is a broker's number, -1 if nobody leads. ``in_sync``: copies that are."""

    topic: str
    partition: int
    leader: int
    replicas: int
    in_sync: int


def judge_topics(reports: Sequence[TopicReport]) -> Iterator[Finding]:
    """How our topics compare with what `agents.topics` says."""
    missing = [report.topic for report in reports if report.state == "missing"]
    if missing:
        yield Finding(
            GROUP,
            "there",
            "wrong",
            f"{len(missing)} of {len(reports)} missing: {listed(missing)}",
            "run `learner topics create`",
        )
    differing = [report for report in reports if report.state == "differs"]
    for report in differing:
        for difference in report.differences:
            state, advice = _ADVICE[difference.split()[0]]
            yield Finding(GROUP, report.topic, state, difference, advice)
    if not missing and not differing:
        yield Finding(GROUP, "there", "ok", f"all {len(reports)}, made as we need them")


def judge_replicas(
    partitions: Sequence[PartitionFacts], min_in_sync: Mapping[str, int]
) -> Iterator[Finding]:
    """Whether every partition can be read and written, and nothing hangs on one copy.

    Args:
        min_in_sync: by topic, copies that must be in sync for a write; 1 if not named.
    """
    offline = [_name(p) for p in partitions if p.leader < 0]
    led = [p for p in partitions if p.leader >= 0]
    refusing = [_name(p) for p in led if p.in_sync < min_in_sync.get(p.topic, 1)]
    lagging = [_name(p) for p in led if p.in_sync < p.replicas]
    if offline:
        yield Finding(
            GROUP,
            "leaders",
            "wrong",
            f"{len(offline)} partitions without a leader: {listed(offline)}",
            "start the brokers that have their copies",
        )
    if refusing:
        yield Finding(
            GROUP,
            "copies in sync",
            "wrong",
            f"{len(refusing)} partitions have fewer copies in sync than a write needs: "
            f"{listed(refusing)}",
            "nothing can be written there: start the brokers that are away",
        )
    elif lagging:
        yield Finding(
            GROUP,
            "copies in sync",
            "warning",
            f"{len(lagging)} partitions are under-replicated: {listed(lagging)}",
            "is a broker away, or slow? kafka-topics.sh --describe --under-replicated-partitions",
        )
    if not offline and not lagging and not refusing:
        found = f"{len(partitions)} partitions, each with a leader and all its copies"
        yield Finding(GROUP, "copies in sync", "ok", found)


def _name(partition: PartitionFacts) -> str:
    return f"{partition.topic}/{partition.partition}"
