"""Two versions on held-out examples: the marks, and how sure the difference between them is."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime
from math import sqrt

import pytest

from schemas.feature import FEATURE_INDEX, FEATURE_NAMES
from schemas.fields import LABELS
from schemas.tree import Branch, Leaf, TreeDocument
from streams.held_out import HeldOut, compare, paired_difference
from streams.scoring import CompiledTree, compile_tree

A, B, C = LABELS["primary_classification"][:3]
RIGHT_BOTH, LOST, GAINED, WRONG_BOTH = (True, True), (True, False), (False, True), (False, False)


def splits_at(threshold: float, low: str = A, high: str = B) -> CompiledTree:
    return compile_tree(
        TreeDocument(
            tree_id="primary_classification",
            version=1,
            author="test",
            reason="two leaves",
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            nodes=(
                Branch(rule_id="b", feature="recent_score", threshold=threshold, left=1, right=2),
                Leaf(rule_id="l", distribution={low: 1}),
                Leaf(rule_id="r", distribution={high: 1}),
            ),
        )
    )


def held_out(user_id: str, label: str, recent_score: float) -> HeldOut:
    features = [0.0] * len(FEATURE_NAMES)
    features[FEATURE_INDEX["recent_score"]] = recent_score
    return HeldOut(user_id, label, tuple(features))


def test_marks_by_hand() -> None:
    """Before says A up to 0.2, after up to 0.6; true labels A A B C at 0.1 0.5 0.9 0.9."""
    found = compare(
        splits_at(0.2),
        splits_at(0.6),
        [
            held_out("x", A, 0.1),
            held_out("x", A, 0.5),
            held_out("y", B, 0.9),
            held_out("z", C, 0.9),
        ],
        B,
    )
    assert (found.examples, found.learners, found.labels) == (4, 3, {A: 2, B: 1, C: 1})
    assert found.before.accuracy == 0.5
    assert found.before.recall == {A: 0.5, B: 1.0, C: 0.0}
    assert found.before.confusion == {A: {A: 1, B: 1}, B: {B: 1}, C: {B: 1}}
    assert found.after.accuracy == 0.75
    assert found.after.recall == {A: 1.0, B: 1.0, C: 0.0}
    assert found.after.mean_recall == pytest.approx(2 / 3)
    assert found.after.confusion == {A: {A: 2}, B: {B: 1}, C: {B: 1}}
    assert (found.baseline_label, found.baseline_accuracy) == (B, 0.25)
    assert (found.difference.gained, found.difference.lost) == (1, 0)


def test_the_difference_and_its_interval_by_hand() -> None:
    """Five learners of 10 examples, net gains 3 1 2 0 4: n = 50, d = 10/50 = 0.2.

    Residuals gⱼ − lⱼ − d·nⱼ: 1 −1 0 −2 2, their squares 10; var = 5/4 · 10 / 50² = 0.005.
    Student's t of 4 degrees is 2.776 in tables: 0.2 ± 2.776 · 0.07071.
    """
    gained_and_lost = ((3, 0), (2, 1), (4, 2), (0, 0), (4, 0))
    found = paired_difference(
        [
            Counter({GAINED: gained, LOST: lost, RIGHT_BOTH: 10 - gained - lost})
            for gained, lost in gained_and_lost
        ]
    )
    assert found.estimate == pytest.approx(0.2)
    assert (found.gained, found.lost) == (13, 3)
    assert found.low == pytest.approx(0.2 - 0.1963, abs=0.001)
    assert found.high == pytest.approx(0.2 + 0.1963, abs=0.001)


def test_with_one_example_each_it_is_the_usual_paired_interval() -> None:
    """McNemar's table 800 / 60 / 90 / 50: d = 30/1000; var = (150 − 30²/1000) / 1000² (Wald)."""
    table = {RIGHT_BOTH: 800, LOST: 60, GAINED: 90, WRONG_BOTH: 50}
    found = paired_difference(
        [Counter([kind]) for kind, count in table.items() for _ in range(count)]
    )
    half = 1.96 * sqrt(150 - 30**2 / 1000) / 1000
    assert found.estimate == pytest.approx(0.03)
    assert found.low == pytest.approx(0.03 - half, rel=0.01)
    assert found.high == pytest.approx(0.03 + half, rel=0.01)


def test_alike_examples_of_few_learners_make_it_less_sure() -> None:
    """The same 150 examples from 150 learners, and from 10: 9 who gain all of theirs, one loses."""
    many = paired_difference([Counter([GAINED])] * 135 + [Counter([LOST])] * 15)
    few = paired_difference([Counter({GAINED: 15})] * 9 + [Counter({LOST: 15})])
    assert many.estimate == few.estimate == 0.8
    assert few.high - few.low > 3 * (many.high - many.low)


@pytest.mark.parametrize("learners", [6, 20, 100])
def test_the_interval_holds_the_truth_19_times_of_20(learners: int) -> None:
    """Learners with a leaning of their own, no difference on the whole: 0 should lie inside."""
    rng = random.Random(7)
    inside, runs = 0, 1_500
    for _ in range(runs):
        counts = []
        for _ in range(learners):
            leaning = rng.uniform(0.1, 0.9)
            counts.append(
                Counter(
                    (GAINED if rng.random() < leaning else LOST)
                    if rng.random() < 0.4
                    else RIGHT_BOTH
                    for _ in range(8)
                )
            )
        found = paired_difference(counts)
        inside += found.low <= 0 <= found.high
    assert 0.93 <= inside / runs <= 0.97


def test_versions_that_foretell_alike_differ_by_nothing() -> None:
    found = paired_difference([Counter({RIGHT_BOTH: 3, WRONG_BOTH: 1})] * 5)
    assert (found.estimate, found.low, found.high) == (0, 0, 0)
