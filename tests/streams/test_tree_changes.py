"""What changed between two versions, in words."""

from __future__ import annotations

from example_learners.algebra import features
from example_streams.drifting import guess_one_label

from schemas.fields import LABELS
from schemas.tree import Branch, Leaf, TreeDocument
from streams.scoring import compile_tree, score
from streams.tree_changes import MAX_CHANGES, changes

LOW, HIGH = "Struggling Novice", "Fast Tracker"


def tree(*nodes: Branch | Leaf) -> TreeDocument:
    return TreeDocument.model_validate({**dict(guess_one_label()), "nodes": nodes})


def split(threshold: float, left: str = LOW, right: str = HIGH) -> tuple[Branch | Leaf, ...]:
    return (
        Branch(rule_id="b", feature="recent_score", threshold=threshold, left=1, right=2),
        Leaf(rule_id="l", distribution={left: 1}),
        Leaf(rule_id="r", distribution={right: 1}),
    )


def test_a_moved_threshold_and_another_label() -> None:
    before = tree(*split(0.5))
    assert changes(before, before.nodes) == ()
    assert changes(before, split(0.625)) == (
        "moved the threshold of recent_score from 0.5 to 0.625 at the root",
    )
    assert changes(before, split(0.5, right="Steady Achiever")) == (
        "Steady Achiever instead of Fast Tracker where recent_score high",
    )


def test_a_rule_added_and_removed() -> None:
    leaf = tree(Leaf(rule_id="all", distribution={LOW: 1}))
    assert changes(leaf, split(0.5)) == (
        "removed Struggling Novice at the root",
        "added recent_score <= 0.5 at the root",
        "added Struggling Novice where recent_score low",
        "added Fast Tracker where recent_score high",
    )
    assert changes(tree(*split(0.5)), leaf.nodes)[0] == "removed recent_score <= 0.5 at the root"


def test_only_weights_differ_is_no_change() -> None:
    nodes = split(0.5)
    heavier = (*nodes[:2], Leaf(rule_id="r", distribution={HIGH: 7, LOW: 2}))
    assert changes(tree(*nodes), heavier) == ()


def test_of_equal_weights_the_label_named_first_counts_as_in_scoring() -> None:
    either = {LABELS[guess_one_label().tree_id][n]: 1.0 for n in (2, 0)}
    before, after = (
        Leaf(rule_id="all", distribution=either),
        Leaf(rule_id="all", distribution=dict(reversed(either.items()))),
    )
    assert changes(tree(before), (after,)) == ()
    (said,) = changes(tree(before), split(0.5))[:1]
    assert said == f"removed {score(compile_tree(tree(before)), features()).label} at the root"


def test_a_long_list_ends_with_how_many_more() -> None:
    nodes: list[Branch | Leaf] = []
    depth = 7

    def grow(level: int) -> int:
        at = len(nodes)
        if level == depth:
            nodes.append(Leaf(rule_id=str(at), distribution={LOW: 1}))
            return at
        nodes.append(Branch(rule_id=str(at), feature="gpa", threshold=1, left=at + 1, right=at + 1))
        grow(level + 1)
        right = grow(level + 1)
        nodes[at] = Branch(rule_id=str(at), feature="gpa", threshold=1, left=at + 1, right=right)
        return at

    grow(0)
    found = changes(guess_one_label(), tuple(nodes))
    assert len(found) == MAX_CHANGES
    assert found[-1] == f"and {255 + 1 - MAX_CHANGES + 1} more"
