"""Scoring against a tree worked out by hand, and against a plain walk over any document."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from example_learners.algebra import features
from generated.trees import feature_values, tree_documents
from hypothesis import given, settings

from schemas.decision import Condition
from schemas.feature import FEATURE_INDEX
from schemas.fields import LABELS
from schemas.tree import Branch, Leaf, TreeDocument
from streams.scoring import compile_tree, score


def document(*nodes: Branch | Leaf) -> TreeDocument:
    return TreeDocument(
        tree_id="primary_classification",
        version=3,
        author="tests",
        reason="by hand",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        nodes=nodes,
    )


TREE = compile_tree(
    document(
        Branch(rule_id="low", feature="recent_score", threshold=0.5, left=1, right=2),
        Leaf(rule_id="low-leaf", distribution={"Steady Achiever": 1, "Struggling Novice": 3}),
        Branch(rule_id="tries", feature="retry_rate", threshold=1.5, left=3, right=4),
        Leaf(rule_id="few", distribution={"Fast Tracker": 5, "Overconfident Learner": 5}),
        Leaf(rule_id="many", distribution={"Persistent Striver": 0.25, "Fast Tracker": 0}),
    )
)


def test_at_the_threshold_is_below_it() -> None:
    result = score(TREE, features(recent_score=0.5))
    assert result.label == "Struggling Novice"
    assert result.distribution == {"Struggling Novice": 0.75, "Steady Achiever": 0.25}
    assert result.rule_ids == ("low", "low-leaf")


def test_the_path_holds_what_was_asked_and_the_value_that_answered() -> None:
    values = features(recent_score=0.75, retry_rate=2.0)
    result = score(TREE, values)
    assert result.label == "Persistent Striver"
    assert result.rule_ids == ("low", "tries", "many")
    assert result.path(values) == (
        Condition("low", "recent_score", 0.75, ">", 0.5),
        Condition("tries", "retry_rate", 2.0, ">", 1.5),
    )


def test_of_equals_the_first_of_the_labels_wins() -> None:
    result = score(TREE, features(recent_score=0.75))
    assert result.label == "Overconfident Learner"
    assert list(result.distribution) == ["Overconfident Learner", "Fast Tracker"]


def test_labels_without_weight_are_not_in_the_distribution() -> None:
    result = score(TREE, features(recent_score=0.75, retry_rate=2.0))
    assert result.distribution == {"Persistent Striver": 1.0}


@pytest.mark.parametrize("weight", [5e-324, 1.7e308])
def test_weights_of_any_scale(weight: float) -> None:
    tree = compile_tree(
        document(
            Leaf(
                rule_id="only",
                distribution={"Struggling Novice": weight, "Fast Tracker": weight},
            )
        )
    )
    result = score(tree, features())
    assert result.distribution == {"Struggling Novice": 0.5, "Fast Tracker": 0.5}
    assert result.conditions == ()


@settings(deadline=None, max_examples=60)
@given(tree_documents(), feature_values())
def test_the_same_leaf_as_a_walk_over_the_nodes(
    tree: TreeDocument, values: tuple[float, ...]
) -> None:
    result = score(compile_tree(tree), values)
    rule_ids, at = [], 0
    while isinstance(node := tree.nodes[at], Branch):
        rule_ids.append(node.rule_id)
        at = node.left if values[FEATURE_INDEX[node.feature]] <= node.threshold else node.right
    assert result.rule_ids == (*rule_ids, node.rule_id)
    heaviest = max(node.distribution.values())
    assert result.label == next(
        label for label in LABELS[tree.tree_id] if node.distribution.get(label) == heaviest
    )
    assert math.isclose(sum(result.distribution.values()), 1.0)
    assert all(0 <= part <= 1 for part in result.distribution.values())
