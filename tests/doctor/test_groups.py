"""What is judged of readers, trees and clocks, by worked examples."""

from __future__ import annotations

from typing import Any

import pytest

from doctor.clocks import ClockFacts, judge_clock, measured
from doctor.groups import GroupFacts, TrainerFacts, judge_group, judge_trainer
from doctor.trees import AdoptionFacts, TreeFacts, judge_prompts, judge_trees

NOW = 1_700_000_000.0


def group(**changes: Any) -> GroupFacts:
    well = GroupFacts("worker", "learner worker", "Stable", 2, True, {"learner.events": 0})
    return well._replace(**changes)


@pytest.mark.parametrize(
    ("facts", "state", "said"),
    [
        (group(), "ok", "2 members, 0 records behind"),
        (group(lag={"learner.events": 9000}), "ok", "9,000 on learner.events"),
        (group(lag={"learner.events": 10_001}), "warning", "10,001"),
        (group(state="PreparingRebalance"), "ok", "PreparingRebalance"),
        (group(members=0, lag={"learner.events": 1}), "wrong", "nobody reads; 1 records"),
        (group(members=0), "warning", "nobody reads; 0 records"),
        (group(members=0, committed=False), "ok", "has never run"),
        (group(members=0, committed=False, lag={"a": 3}), "wrong", "has never run; 3"),
        (group(who="sink redis", members=0, committed=False, lag={"a": 3}), "warning", "never"),
        (group(beyond=("learner.events/1",)), "wrong", "behind the end of learner.events/1"),
    ],
)
def test_a_group(facts: GroupFacts, state: str, said: str) -> None:
    finding = judge_group(facts)
    assert (finding.state, said in finding.found) == (state, True), finding
    assert bool(finding.advice) == (state != "ok")


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (TrainerFacts(0, None, 500), "ok"),
        (TrainerFacts(500, None, 500), "ok"),  # its first may be about to come
        (TrainerFacts(501, None, 500), "warning"),
        (TrainerFacts(400, 86_400.0, 500), "ok"),  # few examples come
        (TrainerFacts(5000, 60.0, 500), "ok"),  # catching up
        (TrainerFacts(5000, 3600.0, 500), "wrong"),
    ],
)
def test_the_trainer(facts: TrainerFacts, state: str) -> None:
    finding = judge_trainer(facts)
    assert (finding.state, bool(finding.advice)) == (state, state != "ok")


def trees(adoption: AdoptionFacts, **changes: Any) -> TreeFacts:
    known = {"primary_classification": frozenset({0, 1, 2})}
    facts = TreeFacts(
        {"primary_classification": (2, NOW - 3600)},
        known,
        [adoption],
        frozenset({"p1"}),
        "p1",
        False,
    )
    return facts._replace(**changes)


def adopted(version: int, newest_event: float | None, prompts: str = "p1") -> AdoptionFacts:
    return AdoptionFacts(3, {"primary_classification": version}, prompts, newest_event)


@pytest.mark.parametrize(
    ("facts", "state", "said"),
    [
        (trees(adopted(2, NOW)), "ok", "primary_classification 2"),
        (trees(adopted(1, NOW - 7200)), "ok", "1 partitions have decided"),  # no event since
        (trees(adopted(1, NOW - 3590)), "ok", ""),  # an event within the patience
        (trees(adopted(1, None)), "ok", ""),  # its worker is behind, which others say
        (trees(adopted(1, NOW)), "warning", "partition 3 (primary_classification 1)"),
        (trees(adopted(1, NOW), pinned=True), "ok", "pin the seed trees"),
        (trees(adopted(7, NOW)), "wrong", "primary_classification 7 (partition 3)"),
    ],
)
def test_trees(facts: TreeFacts, state: str, said: str) -> None:
    (finding,) = judge_trees(facts, NOW)
    assert (finding.state, said in finding.found) == (state, True), finding


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (trees(adopted(2, NOW)), "ok"),
        (trees(adopted(2, NOW), our_prompts="p2", prompts=frozenset({"p1", "p2"})), "warning"),
        (trees(adopted(2, NOW, "p9")), "wrong"),
        (trees(adopted(2, NOW), adoptions=[]), "ok"),
    ],
)
def test_prompts(facts: TreeFacts, state: str) -> None:
    (finding,) = judge_prompts(facts)
    assert finding.state == state


def test_a_clock_is_measured_from_the_middle_of_the_question() -> None:
    assert measured("redis", 100.0, 103.0, 102.0) == ClockFacts("redis", 2.0, 1.0)


@pytest.mark.parametrize(
    ("ahead", "unsure", "state", "said"),
    [
        (0.0, 0.005, "ok", "within 5 ms"),
        (0.5, 0.01, "ok", "500 ms ahead of"),
        (-1.5, 0.01, "warning", "1.5 s behind"),
        (1.5, 1.0, "ok", "± 1 s"),  # the answer took too long to say
        (61.0, 0.5, "wrong", "61 s ahead of"),
        (-90.0, 0.1, "wrong", "behind"),
    ],
)
def test_a_clock(ahead: float, unsure: float, state: str, said: str) -> None:
    finding = judge_clock(ClockFacts("redis", ahead, unsure))
    assert (finding.state, said in finding.found) == (state, True), finding
    assert bool(finding.advice) == (state != "ok")
