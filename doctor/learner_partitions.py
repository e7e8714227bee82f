"""Whether events are in the partitions that our own senders would choose.

All events of a learner must be in one partition. The chat's and `learner send`'s go where
``LEARNER_KAFKA__PARTITIONER`` says; a producer that chooses otherwise gives its learners a second
state there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from doctor.finding import Finding, State


class LearnerPartitionFacts(NamedTuple):
    """Of the ``looked_at`` newest events with a key, ``elsewhere`` are not where ``partitioner``
    puts them, and as many as ``by_others`` (its name, how many) says would be with another one."""

    partitioner: str
    looked_at: int
    elsewhere: int
    by_others: Sequence[tuple[str, int]]


def judge_learner_partitions(facts: LearnerPartitionFacts) -> Finding:
    def said(state: State, found: str, advice: str = "") -> Finding:
        return Finding("topics", "learners' partitions", state, found, advice)

    if not facts.looked_at:
        return said("ok", "no events yet")
    newest = f"of the {facts.looked_at:,} newest events"
    if not facts.elsewhere:
        return said("ok", f"all {newest} are where {facts.partitioner} puts them")
    advice = (
        "all who send events must choose alike, or a learner has a state in each partition: with "
        "librdkafka partitioner=murmur2_random, or LEARNER_KAFKA__PARTITIONER as they choose. "
        "After partitions were added, start with topics made anew"
    )
    for name, elsewhere in facts.by_others:
        if not elsewhere:
            advice = f"LEARNER_KAFKA__PARTITIONER={name} is what their producers do"
    found = f"{facts.elsewhere:,} {newest} are not where {facts.partitioner} puts their learners"
    return said("wrong", found, advice)
