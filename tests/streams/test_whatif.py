"""What a proposed tree would have said: which decisions change, and for whom the latest does."""

from __future__ import annotations

from collections import Counter

from example_learners.algebra import PROFILE, day, engagement, features, quiz
from generated.trees import feature_values, tree_documents
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from config.seed_trees import seed_trees
from schemas.decision import Decision
from schemas.fields import LABELS
from schemas.tree import Branch, Leaf, TreeDocument
from streams.decide import decide
from streams.rules import Rules
from streams.scoring import CompiledTree, compile_tree, compile_trees, score
from streams.whatif import Transition, whatif

EVERY_EVENT = Rules(decide_on_every_event=True)

SEEDS = compile_trees(seed_trees())
LOW, HIGH = LABELS["primary_classification"][0], LABELS["primary_classification"][4]
ANN, BOB, CEM = (f"00000000-0000-4000-8000-00000000000{n}" for n in range(3))


def splits_at(threshold: float, version: int = 1) -> CompiledTree:
    return compile_tree(
        TreeDocument(
            tree_id="primary_classification",
            version=version,
            author="test",
            reason="two leaves",
            created_at=day(0),
            nodes=(
                Branch(rule_id="b", feature="recent_score", threshold=threshold, left=1, right=2),
                Leaf(rule_id="low", distribution={LOW: 1}),
                Leaf(rule_id="high", distribution={HIGH: 1}),
            ),
        )
    )


def decided(tree: CompiledTree, user_id: str, at: float, recent_score: float) -> Decision:
    trees = {**SEEDS, tree.document.tree_id: tree}
    values = features(recent_score=recent_score)
    _, decisions = decide(quiz(0.5, at), PROFILE, engagement(), values, trees, EVERY_EVENT)
    return replace(decisions[0], user_id=user_id)


THEN = splits_at(0.5)
HISTORY = [
    decided(THEN, ANN, 1, 0.6),
    decided(THEN, BOB, 1, 0.6),
    decided(THEN, CEM, 1, 0.4),
    decided(THEN, BOB, 2, 0.9),
    decided(THEN, ANN, 3, 0.65),
]
"""Above 0.5 all but Cem's. With 0.7 instead, Ann's two and Bob's first would be low."""


def test_transitions_and_learners_by_hand() -> None:
    found = whatif(iter(HISTORY), splits_at(0.7, version=2))
    assert (found.decisions, found.changed, found.learners) == (5, 3, 3)
    assert found.transitions == (
        Transition(LOW, LOW, 1),
        Transition(HIGH, LOW, 3),
        Transition(HIGH, HIGH, 1),
    )
    (ann,) = found.affected  # Bob's latest stays as it is
    assert (ann.user_id, ann.timestamp, ann.version) == (ANN, day(3), 1)
    assert (ann.then, ann.proposed) == (HIGH, LOW)
    assert (ann.then_rules, ann.proposed_rules) == (("b", "high"), ("b", "low"))


def test_the_latest_is_told_by_its_time_not_by_when_it_comes() -> None:
    proposed = splits_at(0.7)
    assert whatif(reversed(HISTORY), proposed) == whatif(HISTORY, proposed)


def test_against_the_version_in_force_only_the_proposal_counts() -> None:
    """In force since is 0.7: proposing 0.7 changes nobody, proposing 0.62 changes Ann."""
    in_force = splits_at(0.7, version=4)
    assert whatif(HISTORY, splits_at(0.7), in_force).changed == 0
    found = whatif(HISTORY, splits_at(0.62), in_force)
    assert found.changed == 1
    (ann,) = found.affected
    assert (ann.version, ann.then, ann.proposed) == (4, LOW, HIGH)
    assert ann.then_rules == ("b", "low")


def test_other_trees_are_passed_over_and_missing_features_counted() -> None:
    first = HISTORY[0]
    old = {name: value for name, value in first.input_attributes.items() if name != "pmi"}
    others = [replace(first, tree_id="intervention_strategy"), replace(first, input_attributes=old)]
    found = whatif([*others, *HISTORY], splits_at(0.7))
    assert found.without_features == 1
    assert found.decisions == 5


def test_nothing_decided_is_nothing_changed() -> None:
    found = whatif([], splits_at(0.7))
    assert (found.decisions, found.learners, found.transitions, found.affected) == (0, 0, (), ())


@settings(deadline=None, max_examples=25)
@given(
    tree_documents(),
    tree_documents(),
    st.lists(st.tuples(st.sampled_from((ANN, BOB, CEM)), feature_values()), max_size=8),
)
def test_the_tree_that_decided_changes_nothing_and_another_what_it_scores(
    document: TreeDocument, other: TreeDocument, given_features: list[tuple[str, tuple[float, ...]]]
) -> None:
    assume(document.tree_id == other.tree_id)
    tree, proposed = compile_tree(document), compile_tree(other)
    history = []
    for number, (user_id, values) in enumerate(given_features):
        trees = {**SEEDS, document.tree_id: tree}
        _, decisions = decide(quiz(0.5, number), PROFILE, engagement(), values, trees, EVERY_EVENT)
        mine = next(d for d in decisions if d.tree_id == document.tree_id)
        history.append(replace(mine, user_id=user_id))
    same = whatif(history, tree)
    assert (same.changed, same.affected, same.decisions) == (0, (), len(history))
    found = whatif(history, proposed)
    expected = Counter(
        (decision.decision_label, score(proposed, values).label)
        for decision, (_, values) in zip(history, given_features, strict=True)
    )
    assert {(t.then, t.proposed): t.decisions for t in found.transitions} == expected
    latest = {d.user_id: d for d in history}
    labels = {user_id: score(proposed, f).label for user_id, f in given_features}
    assert {a.user_id for a in found.affected} == {
        user_id for user_id, d in latest.items() if d.decision_label != labels[user_id]
    }
