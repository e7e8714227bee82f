"""Retraining: what it learns from, what it measures on, and what it says of both."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime
from math import nan

import pytest
from example_streams.drifting import drifting, guess_one_label
from msgspec.structs import replace

from schemas.errors import InvalidInput, InvalidSetting
from schemas.example import TreeExample
from schemas.feature import FEATURE_NAMES
from schemas.fields import LABELS
from schemas.tree import Branch, Leaf, TreeDocument
from streams.leaf_counts import counted
from streams.learning import Learning
from streams.retraining import Plan, Retrained, objection, retrain
from streams.scoring import compile_tree, score
from streams.tree_edits import Editor, differences

A, B = LABELS["primary_classification"][:2]
PLAN = Plan(Learning(min_examples=100), passes=2, held_out=0.3)
BY = Editor("ada", "", datetime(2026, 6, 1, tzinfo=UTC))
CHAMPION = guess_one_label()
EXAMPLES = list(drifting(2_000, drift_every=2_000))


@pytest.fixture(scope="module")
def retrained() -> Retrained:
    return retrain(EXAMPLES, CHAMPION, PLAN, BY)


def test_it_finds_what_tells_the_labels_apart(retrained: Retrained) -> None:
    held_out = retrained.report.held_out
    assert held_out.after.accuracy > 0.85
    assert held_out.before.accuracy < 0.4
    assert held_out.difference.low > 0.4
    assert retrained.report.better
    assert objection(CHAMPION, retrained) == ""


def test_the_version_says_how_it_came_to_be(retrained: Retrained) -> None:
    document, report = retrained
    assert (document.version, document.author, document.created_at) == (1, "ada", BY.at)
    log, evaluation = document.retraining_logs, document.evaluation
    assert log is not None
    assert evaluation is not None
    assert log.data_points_used == report.examples_used
    assert log.changes_made == differences(CHAMPION, document).said != ()
    assert max(e.labelled_at for e in EXAMPLES) >= log.date > EXAMPLES[1_900].labelled_at
    assert evaluation.examples == report.held_out.examples == 2_000 - report.examples_used
    assert evaluation.accuracy_before == report.held_out.before.accuracy
    assert evaluation.accuracy_after == report.held_out.after.accuracy
    assert f"{evaluation.accuracy_after:.1%} of {evaluation.examples} held-out" in document.reason
    assert f"version 0 {evaluation.accuracy_before:.1%}" in document.reason
    told = retrain(EXAMPLES, CHAMPION, PLAN, BY._replace(reason="a new term"))
    assert told.document.reason == "a new term"


def test_the_order_in_which_examples_are_stored_does_not_matter(retrained: Retrained) -> None:
    shuffled = random.Random(3).sample(EXAMPLES, len(EXAMPLES))
    assert retrain(shuffled, CHAMPION, PLAN, BY) == retrained
    assert retrain(EXAMPLES + EXAMPLES[:50], CHAMPION, PLAN, BY) == retrained
    assert retrain(EXAMPLES, CHAMPION, PLAN._replace(seed=8), BY) != retrained


def test_a_learner_is_learned_from_or_held_out_never_both() -> None:
    """Each learner's labels are changed in turn: it changes the tree, or what is measured."""
    plan = PLAN._replace(passes=1)
    examples = EXAMPLES[:400]
    first = retrain(examples, CHAMPION, plan, BY)
    sides = Counter[str]()
    for user_id in {e.user_id for e in examples}:
        changed = [replace(e, label=B) if e.user_id == user_id else e for e in examples]
        again = retrain(changed, CHAMPION, plan, BY)
        learned = again.document.nodes != first.document.nodes
        measured = again.report.held_out.labels != first.report.held_out.labels
        assert learned != measured
        sides["learned" if learned else "measured"] += 1
    assert sides["measured"] == first.report.held_out.learners
    assert sides["learned"] == first.report.learners_used


def test_who_is_held_out_stays_so_when_more_learners_come() -> None:
    """Those of the first 10 learners that are held out are so among all 20 too."""
    few = [e for e in EXAMPLES if int(e.user_id[-2:], 16) < 10]
    later = [replace(e, label=B) for e in EXAMPLES if int(e.user_id[-2:], 16) >= 10]
    plan = PLAN._replace(held_out=0.5)
    alone = retrain(few, CHAMPION, plan, BY).report.held_out
    together = retrain(few + later, CHAMPION, plan, BY).report.held_out
    assert together.learners > alone.learners
    others = {label: n for label, n in together.labels.items() if label != B}
    assert others == {label: n for label, n in alone.labels.items() if label != B}


def test_leaves_hold_each_example_learned_from_once(retrained: Retrained) -> None:
    leaves = [node for node in retrained.document.nodes if isinstance(node, Leaf)]
    held = Counter[str]()
    for leaf in leaves:
        held.update(leaf.distribution)
        heaviest = max(leaf.distribution, key=leaf.distribution.__getitem__)
        assert leaf.rule_id.startswith(f"{heaviest} @")
    everybody = Counter(e.label for e in EXAMPLES)
    everybody.subtract(retrained.report.held_out.labels)
    assert held == everybody


def test_an_empty_leaf_has_the_counts_of_the_node_above_it() -> None:
    """gpa <= 2 then gpa <= 3 on its left side: nobody can end right there."""
    nodes = (
        Branch(rule_id="1", feature="gpa", threshold=2, left=1, right=4),
        Branch(rule_id="2", feature="gpa", threshold=3, left=2, right=3),
        Leaf(rule_id="old @LL", distribution={A: 9}),
        Leaf(rule_id="old @LR", distribution={A: 9}),
        Leaf(rule_id="old @R", distribution={A: 9}),
    )
    low = tuple(1.0 if name == "gpa" else 0.0 for name in FEATURE_NAMES)
    high = tuple(4.0 if name == "gpa" else 0.0 for name in FEATURE_NAMES)
    found = counted(nodes, "primary_classification", [(low, A), (low, B), (low, B), (high, A)])
    assert found[:2] == nodes[:2]
    assert found[2:] == (
        Leaf(rule_id=f"{B} @LL", distribution={A: 1, B: 2}),
        Leaf(rule_id=f"{B} @LR", distribution={A: 1, B: 2}),
        Leaf(rule_id=f"{A} @R", distribution={A: 1}),
    )


def test_what_is_measured_is_what_the_document_says(retrained: Retrained) -> None:
    """Over learned and held-out examples together, counted another way."""
    document, report = retrained
    tree = compile_tree(document)
    right = sum(score(tree, tuple(e.features.values())).label == e.label for e in EXAMPLES)
    leaves = [node for node in document.nodes if isinstance(node, Leaf)]
    learned = sum(max(leaf.distribution.values()) for leaf in leaves)
    assert right == learned + round(report.held_out.after.accuracy * report.held_out.examples)


def test_what_cannot_be_learned_is_counted_and_passed_over(retrained: Retrained) -> None:
    one = EXAMPLES[0]
    missing = {name: value for name, value in one.features.items() if name != "gpa"}
    bad = [
        replace(one, example_id="1", features=missing),
        replace(one, example_id="2", features={**one.features, "gpa": nan}),
        replace(one, example_id="3", features={**one.features, "gpa": 1e10}),
        replace(one, example_id="4", tree_id="intervention_strategy"),
        replace(one, example_id="5", label="Enrichment Challenge"),
    ]
    found = retrain([*bad, *EXAMPLES], CHAMPION, PLAN, BY)
    assert found.report.refused == 5
    assert found.document == retrained.document


def test_too_little_to_learn_from_says_what_to_do() -> None:
    with pytest.raises(InvalidInput, match=r"56 examples.*, 24 held out: 100 are needed"):
        retrain(EXAMPLES[:80], CHAMPION, PLAN, BY)
    old = [replace(e, features={}) for e in EXAMPLES]
    with pytest.raises(InvalidInput, match=r"0 examples.*2000 of no use .*feature attempts is"):
        retrain(old, CHAMPION, PLAN, BY)
    with pytest.raises(InvalidInput, match=r"of 0 learners: 5 are needed. Hold out a larger"):
        retrain(EXAMPLES, CHAMPION, PLAN._replace(held_out=0.05), BY)
    same = [replace(e, label=A) for e in EXAMPLES]
    with pytest.raises(InvalidInput, match=f"all have the label {A}"):
        retrain(same, CHAMPION, PLAN, BY)


@pytest.mark.parametrize("plan", [{"passes": 0}, {"held_out": 0.0}, {"held_out": 1.0}])
def test_a_plan_that_cannot_be_followed(plan: dict[str, float]) -> None:
    with pytest.raises(InvalidSetting, match="one pass or more"):
        retrain(EXAMPLES, CHAMPION, PLAN._replace(**plan), BY)  # type: ignore[arg-type]


def test_progress_is_told_and_can_end_it() -> None:
    told: list[int] = []
    found = retrain(EXAMPLES, CHAMPION, PLAN, BY, told.append)
    assert sum(told) == 2 * found.report.examples_used
    with pytest.raises(KeyboardInterrupt):
        retrain(EXAMPLES, CHAMPION, PLAN, BY, interrupt)


def interrupt(_count: int) -> None:
    raise KeyboardInterrupt


def test_what_stands_against_a_version(retrained: Retrained) -> None:
    pinned = CHAMPION.model_copy(update={"pinned": True})
    kept = retrain(EXAMPLES, pinned, PLAN, BY)
    assert kept.document.pinned
    assert objection(pinned, kept) == "version 0 is pinned"

    again = retrain(EXAMPLES, retrained.document, PLAN, BY)
    assert again.document.version == 2
    assert again.report.before_learned
    assert objection(retrained.document, again) == "it decides as version 1 does"

    blind = PLAN._replace(learning=PLAN.learning._replace(grace_period=100_000))
    leaf = retrain(EXAMPLES, named(EXAMPLES, CHAMPION), blind, BY)
    assert objection(CHAMPION, leaf) == "it says the same of everybody"


def named(examples: list[TreeExample], champion: TreeDocument) -> TreeDocument:
    """A champion that says something else of everybody than the most common label."""
    rarest = Counter(e.label for e in examples).most_common()[-1][0]
    return champion.model_copy(update={"nodes": (Leaf(rule_id="r", distribution={rarest: 1}),)})


def test_chance_is_no_reason_to_publish() -> None:
    """Labels that nothing tells: whatever was learned is no better than the champion."""
    rng = random.Random(5)
    noise = [replace(e, label=rng.choice((A, B))) for e in EXAMPLES]
    found = retrain(noise, CHAMPION, PLAN, BY)
    assert found.report.changes.said
    assert not found.report.better
    assert "not better than version 0 by more than chance explains: " in objection(CHAMPION, found)


def test_no_more_than_the_most_common_label_is_no_reason_either() -> None:
    """Nine of ten are B whatever the features; the champion says A, so it is easily beaten."""
    rng = random.Random(6)
    dull = [replace(e, label=B if rng.random() < 0.9 else A) for e in EXAMPLES]
    found = retrain(dull, CHAMPION, PLAN, BY)
    assert found.report.better
    assert len(found.document.nodes) > 1
    assert objection(CHAMPION, found) == f"it foretells no more than always saying {B}"
