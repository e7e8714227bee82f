"""The hand-written trees: every label is given, every leaf can be reached, learners by example."""

from __future__ import annotations

import math
from itertools import groupby

import pytest
from example_learners.algebra import features

from config.seed_trees import seed_trees
from schemas.feature import FEATURES
from schemas.fields import LABELS, TREE_IDS, TreeId
from schemas.tree import Branch, TreeDocument
from streams.scoring import Node, Score, compile_trees, score

SEEDS = seed_trees()
TREES = compile_trees(SEEDS)


def leaves(node: Node) -> list[Score]:
    if isinstance(node, Score):
        return [node]
    return leaves(node[2]) + leaves(node[3])


@pytest.mark.parametrize("tree_id", TREE_IDS)
def test_it_is_version_0_of_its_tree(tree_id: TreeId) -> None:
    document = SEEDS[tree_id]
    assert (document.tree_id, document.version, document.retraining_logs) == (tree_id, 0, None)


@pytest.mark.parametrize("tree_id", TREE_IDS)
def test_every_label_is_given_somewhere(tree_id: TreeId) -> None:
    assert {leaf.label for leaf in leaves(TREES[tree_id].root)} == set(LABELS[tree_id])


@pytest.mark.parametrize("tree_id", TREE_IDS)
def test_every_leaf_can_be_reached(tree_id: TreeId) -> None:
    def walk(document: TreeDocument, at: int, ranges: dict[str, tuple[float, float]]) -> int:
        node = document.nodes[at]
        if not isinstance(node, Branch):
            return 1
        low, high = ranges[node.feature]
        assert low <= node.threshold < high, f"{node.rule_id} always goes the same way"
        beyond = math.nextafter(node.threshold, math.inf)
        return walk(document, node.left, {**ranges, node.feature: (low, node.threshold)}) + walk(
            document, node.right, {**ranges, node.feature: (beyond, high)}
        )

    whole = {feature.name: (feature.low, feature.high) for feature in FEATURES}
    assert walk(SEEDS[tree_id], 0, whole) == (len(SEEDS[tree_id].nodes) + 1) / 2


WORKING = {"attempts": 12, "answers_per_day": 1.5, "days_in_course": 8, "hours_since_previous": 20}


@pytest.mark.parametrize(
    ("known", "label", "strategy"),
    [
        ({}, "Steady Achiever", "Encouragement"),
        ({"learner_level": 0, "gpa": 1.8}, "Struggling Novice", "Worked Examples"),
        ({"learner_level": 2, "gpa": 3.7}, "Fast Tracker", "Enrichment Challenge"),
        ({"attempts": 2, "recent_score": 0.2}, "Struggling Novice", "Worked Examples"),
        (
            {**WORKING, "recent_score": 0.3, "weakest_skill_score": 2},
            "Struggling Novice",
            "Scaffolded Remediation",
        ),
        (
            {**WORKING, "recent_score": 0.4, "retry_rate": 1.2, "hint_rate": 1, "score_trend": 0.1},
            "Persistent Striver",
            "Encouragement",
        ),
        (
            {**WORKING, "recent_score": 0.45, "confidence_gap": 0.4},
            "Overconfident Learner",
            "Confidence Calibration",
        ),
        (
            {**WORKING, "recent_score": 0.85, "confidence_gap": -0.4},
            "Underconfident Achiever",
            "Encouragement",
        ),
        ({**WORKING, "recent_score": 0.7, "redo_topics": 3}, "Steady Achiever", "Spaced Review"),
        ({**WORKING, "recent_score": 0.95}, "Fast Tracker", "Enrichment Challenge"),
        (
            {**WORKING, "recent_score": 0.9, "hours_since_previous": 500},
            "Disengaging Learner",
            "Re-engagement Outreach",
        ),
        # Work due monthly: three weeks without any say nothing.
        (
            {
                "attempts": 3,
                "answers_per_day": 0.04,
                "recent_score": 0.7,
                "hours_since_previous": 500,
            },
            "Steady Achiever",
            "Spaced Review",
        ),
    ],
)
def test_learners_by_example(known: dict[str, float], label: str, strategy: str) -> None:
    values = features(**known)
    assert score(TREES["primary_classification"], values).label == label
    assert score(TREES["intervention_strategy"], values).label == strategy


@pytest.mark.parametrize(
    ("tree_id", "low_middle_high"),
    [
        ("primary_classification", ["Struggling Novice", "Steady Achiever", "Fast Tracker"]),
        ("intervention_strategy", ["Worked Examples", "Spaced Review", "Enrichment Challenge"]),
    ],
)
def test_by_the_recent_score_alone(tree_id: TreeId, low_middle_high: list[str]) -> None:
    labels = [
        score(TREES[tree_id], features(**WORKING, recent_score=i / 100)).label for i in range(101)
    ]
    assert [label for label, _ in groupby(labels)] == low_middle_high
