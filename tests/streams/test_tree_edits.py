"""What people do to trees: each edit is the next version, or one line that says why not."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import inf, nan

import pytest
from example_streams.drifting import drifting, guess_one_label
from generated.trees import feature_values, tree_documents
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import EditRefused
from schemas.feature import FEATURE_INDEX, FEATURES
from schemas.fields import LABELS, TreeId
from schemas.tree import Branch, Leaf, Retraining, TreeDocument
from streams.learning import Learning, OnlineTree
from streams.scoring import compile_tree, score
from streams.tree_edits import (
    Differences,
    Editor,
    Moved,
    Relabelled,
    differences,
    pin,
    rollback,
    set_threshold,
    unpin,
    with_threshold,
)

TREE: TreeId = "primary_classification"
LOW, HIGH, OTHER = LABELS[TREE][:3]
BY = Editor("m.curie", "too many strivers", datetime(2026, 5, 1, 9, tzinfo=UTC))


def ask(rule_id: str, feature: str, threshold: float, left: int) -> Branch:
    """Its children stand one after the other."""
    return Branch(rule_id=rule_id, feature=feature, threshold=threshold, left=left, right=left + 1)


def tree(
    number: int = 0, threshold: float = 0.5, left: str = LOW, *, pinned: bool = False
) -> TreeDocument:
    return TreeDocument(
        tree_id=TREE,
        version=number,
        author="test",
        reason="by hand",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        pinned=pinned,
        nodes=(
            ask("score-check", "recent_score", threshold, 1),
            Leaf(rule_id="low", distribution={left: 3.0, HIGH: 1.0}),
            Leaf(rule_id="high", distribution={HIGH: 2.0}),
        ),
    )


def refused(said: str) -> pytest.RaisesExc[EditRefused]:
    return pytest.raises(EditRefused, match=f"^(?s:.)*{re.escape(said)}[^\n]*$")


def test_a_threshold_is_moved_in_the_next_version() -> None:
    made = set_threshold([tree(0), tree(7)], "score-check", 0.6, BY)
    assert (made.version, made.author, made.reason, made.created_at) == (8, *BY)
    assert made.nodes == tree(threshold=0.6).nodes
    assert (made.pinned, made.retraining_logs, made.evaluation) == (False, None, None)


def test_what_a_learned_version_learned_from_stays_known_of_its_nodes() -> None:
    log = Retraining(datetime(2026, 2, 1, tzinfo=UTC), ("moved a threshold",), 300)
    by_hand, learned = tree(0), tree(1, 0.6).model_copy(update={"retraining_logs": log})
    versions = [by_hand, learned]
    for make in (
        lambda: set_threshold(versions, "score-check", 0.7, BY),
        lambda: pin(versions, 1, BY),
        lambda: unpin([by_hand, learned.model_copy(update={"pinned": True})], BY),
        lambda: rollback([*versions, tree(2)], 1, BY),
    ):
        assert make().retraining_logs == log
    assert rollback(versions, 0, BY).retraining_logs is None


@pytest.mark.parametrize(
    ("pinned", "asked", "after"), [(False, True, True), (True, False, True), (True, True, True)]
)
def test_an_edit_never_unpins(pinned: bool, asked: bool, after: bool) -> None:
    made = set_threshold([tree(3, pinned=pinned)], "score-check", 0.6, BY, pin=asked)
    assert made.pinned is after


@pytest.mark.parametrize(
    ("rule_id", "value", "said"),
    [
        ("scorecheck", 0.6, "version 0 has no rule 'scorecheck'; it asks score-check"),
        ("low", 0.6, "'low' of primary_classification version 0 is a leaf"),
        ("score-check", 1.01, "1.01 is no threshold of recent_score: it lies between 0 and 1"),
        ("score-check", -0.01, "between 0 and 1"),
        ("score-check", nan, "nan is no threshold"),
        ("score-check", inf, "inf is no threshold"),
        ("score-check", -inf, "-inf is no threshold"),
        ("score-check", 0.5, "is 0.5 already"),
    ],
)
def test_what_cannot_be_a_threshold_is_refused(rule_id: str, value: float, said: str) -> None:
    with refused(said):
        set_threshold([tree()], rule_id, value, BY)


def test_an_id_that_tells_its_threshold_tells_the_new_one() -> None:
    branch = ask("recent_score<=0.4568 @LR", "recent_score", 0.456789, 1)
    learned = tree().model_copy(update={"nodes": (branch, *tree().nodes[1:])})
    edited = with_threshold(learned, "recent_score<=0.4568 @LR", 0.7)
    assert edited.nodes[0].rule_id == "recent_score<=0.7 @LR"
    assert with_threshold(edited, "recent_score<=0.7 @LR", 0.2).nodes[0].rule_id.endswith("0.2 @LR")


@given(tree_documents(), feature_values(), st.data())
def test_only_those_between_the_two_thresholds_go_the_other_way(
    document: TreeDocument, inputs: tuple[float, ...], data: st.DataObject
) -> None:
    branches = [node for node in document.nodes if isinstance(node, Branch)]
    if not branches:
        return
    branch = data.draw(st.sampled_from(branches))
    feature = FEATURES[FEATURE_INDEX[branch.feature]]
    value = data.draw(st.floats(feature.low, feature.high).filter(lambda v: v != branch.threshold))
    edited = with_threshold(document, branch.rule_id, value)
    assert [m[1:] for m in differences(document, edited).moved] == [
        (branch.feature, branch.threshold, value)
    ]
    low, high = sorted((branch.threshold, value))
    if not low < inputs[FEATURE_INDEX[branch.feature]] <= high:
        before, after = (score(compile_tree(t), inputs) for t in (document, edited))
        assert before.rule_ids == after.rule_ids
        assert before.distribution == after.distribution


def test_pinned_is_any_version_as_a_new_one() -> None:
    known = [tree(0, 0.1), tree(1, 0.2), tree(2, 0.3)]
    older, newest = pin(known, 1, BY), pin(known, 2, BY)
    assert (older.version, older.pinned, older.nodes) == (3, True, tree(1, 0.2).nodes)
    assert (newest.version, newest.pinned, newest.nodes) == (3, True, tree(2, 0.3).nodes)
    with refused("primary_classification version 3, in force, is pinned and the same already"):
        pin([*known, newest], 2, BY)
    with refused("has no version 9, only 0, 1, 2"):
        pin(known, 9, BY)


def test_unpinned_is_the_same_tree_for_the_trainer_to_replace() -> None:
    made = unpin([tree(4, pinned=True)], BY)
    assert (made.version, made.pinned, made.nodes) == (5, False, tree().nodes)
    with refused("version 5, in force, is not pinned"):
        unpin([made], BY)


def test_rolled_back_is_an_earlier_version_as_a_new_one() -> None:
    known = [tree(0, 0.1), tree(3, 0.2), tree(40, 0.3, pinned=True)]
    assert rollback(known, None, BY).nodes == tree(3, 0.2).nodes
    to_0 = rollback(known, 0, BY)
    assert (to_0.version, to_0.nodes, to_0.pinned) == (41, tree(0, 0.1).nodes, True)
    with refused("version 40 is in force already"):
        rollback(known, 40, BY)
    with refused("has no version 7"):
        rollback(known, 7, BY)
    with refused("is the first: there is none before it"):
        rollback(known[:1], None, BY)


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (BY._replace(reason="x" * 1001), "reason: "),
        (BY._replace(author=""), "author: "),
        (BY._replace(author="a\nb"), "author: "),
    ],
)
def test_an_editor_who_is_none_is_refused(by: Editor, said: str) -> None:
    with refused(said):
        set_threshold([tree()], "score-check", 0.6, by)


def test_differences_by_hand() -> None:
    assert differences(tree(0), tree(1)) == Differences((), (), (), (), ())
    assert differences(tree(0, 0.5, LOW), tree(1, 0.75, OTHER)) == Differences(
        moved=(Moved("score-check", "recent_score", 0.5, 0.75),),
        added=(),
        removed=(),
        relabelled=(Relabelled("low", LOW, OTHER),),
        said=(
            "moved the threshold of recent_score from 0.5 to 0.75 at the root",
            f"{OTHER} instead of {LOW} where recent_score low",
        ),
    )
    grown = tree(1).model_copy(
        update={
            "nodes": (
                ask("score-check", "recent_score", 0.5, 1),
                Leaf(rule_id="low", distribution={LOW: 3.0}),
                ask("gpa-check", "gpa", 3, 3),
                Leaf(rule_id="high-low", distribution={HIGH: 2.0}),
                Leaf(rule_id="high-high", distribution={OTHER: 2.0}),
            )
        }
    )
    found = differences(tree(0), grown)
    assert (found.moved, found.relabelled) == ((), ())
    assert (found.removed, found.added) == (("high",), ("gpa-check", "high-low", "high-high"))
    back = differences(grown, tree(0))
    assert (back.removed, back.added) == (found.added, found.removed)


def test_while_pinned_the_trainer_learns_and_measures_and_publishes_nothing() -> None:
    examples = list(drifting(3_000, drift_every=1_500))
    free = OnlineTree(guess_one_label(), Learning(min_examples=100))
    held = OnlineTree(
        guess_one_label().model_copy(update={"pinned": True}), Learning(min_examples=100)
    )
    assert len([v for v in map(free.learn, examples) if v]) >= 2
    assert [v for v in map(held.learn, examples) if v] == []
    assert held.champion.version == 0
    # It has learned as much as the other one, and knows how much better it would be.
    assert held.snapshot().model == free.snapshot().model
    assert held.metrics.prequential_accuracy == free.metrics.prequential_accuracy
    assert held.metrics.faded_accuracy > held.metrics.champion_faded_accuracy + 0.2


def test_unpinned_the_trainer_publishes_again_once_it_has_seen_enough() -> None:
    examples = list(drifting(1_200, drift_every=1_200))
    online = OnlineTree(
        guess_one_label().model_copy(update={"pinned": True}), Learning(min_examples=100)
    )
    for example in examples[:1_000]:
        assert online.learn(example) is None
    assert online.adopt(unpin([online.champion], BY))
    made = [online.learn(example) for example in examples[1_000:]]
    assert [document is not None for document in made[:100]] == [False] * 99 + [True]
    assert made[99] is not None
    assert made[99].version == 2
    assert not made[99].pinned


def test_who_was_first_with_a_number_is_the_champion() -> None:
    examples = list(drifting(1_000, drift_every=1_000))
    online = OnlineTree(guess_one_label(), Learning(min_examples=100))
    mine = next(document for document in map(online.learn, examples) if document is not None)
    theirs = set_threshold([tree(0)], "score-check", 0.6, BY, pin=True)
    assert (mine.version, theirs.version) == (1, 1)
    assert not online.adopt(mine)
    assert online.adopt(theirs)
    assert online.champion == theirs
    assert not online.adopt(mine.model_copy(update={"version": 0}))
    more = drifting(500, drift_every=500, seed=2)
    assert [document for document in map(online.learn, more) if document is not None] == []
