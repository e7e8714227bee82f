"""When a decision is sent, why, and everything that stands in it."""

from __future__ import annotations

import copy
import uuid

import orjson
import pytest
from example_learners.algebra import COURSE, PROFILE, USER, day, engagement, event, features, quiz
from generated.trees import feature_values, tree_documents
from hypothesis import given, settings

from config.seed_trees import seed_trees
from schemas.contract import encode
from schemas.decision import Condition, Decision, Thresholds, decision_adapter
from schemas.engagement import Engagement
from schemas.event import LearnerEvent
from schemas.feature import FEATURE_NAMES
from schemas.fields import TREE_IDS, TreeId
from schemas.prompt import PromptFigures
from schemas.tree import TreeDocument
from streams.decide import decide
from streams.derived_id import made_at
from streams.prompt import PLAIN
from streams.rules import Rules
from streams.scoring import CompiledTree, compile_tree, compile_trees, score

TREES = compile_trees(seed_trees())
VALUES = features(attempts=12, answers_per_day=1.5, recent_score=0.95, hours_since_previous=20)
KNOWN = {
    "primary_classification": "Fast Tracker",
    "intervention_strategy": "Enrichment Challenge",
}
"""What the seed trees say of `VALUES`."""

HINT = event("hint.requested", 1)


def sources(
    given: LearnerEvent, labels: dict[str, str], every_event: bool = False
) -> list[tuple[str, str]]:
    _, decisions = decide(
        given,
        PROFILE,
        engagement(labels=labels),
        VALUES,
        TREES,
        Rules(decide_on_every_event=every_event),
    )
    return [(d.tree_id, d.event_source) for d in decisions]


@pytest.mark.parametrize(
    ("given", "source"),
    [
        (event("profile.updated", course_id=None), "onboarding"),
        (event("course.enrolled"), "onboarding"),
        (quiz(0.9), "quiz_submit"),
        (event("topic.changed", topic_id="roots"), "topic_change"),
    ],
)
@pytest.mark.parametrize("labels", [KNOWN, {}], ids=["same label", "new label"])
@pytest.mark.parametrize("every_event", [True, False])
def test_at_decision_points_both_trees_always_speak(
    given: LearnerEvent, source: str, labels: dict[str, str], every_event: bool
) -> None:
    assert sources(given, labels, every_event) == [(tree_id, source) for tree_id in TREE_IDS]


def test_elsewhere_a_tree_speaks_when_it_changes_its_mind() -> None:
    assert sources(HINT, KNOWN) == []
    assert sources(HINT, {**KNOWN, "intervention_strategy": "Encouragement"}) == [
        ("intervention_strategy", "label_change")
    ]


def test_every_event_says_so_unless_the_label_changed() -> None:
    assert sources(HINT, {**KNOWN, "primary_classification": "Steady Achiever"}, True) == [
        ("primary_classification", "label_change"),
        ("intervention_strategy", "every_event"),
    ]


def test_labels_are_remembered_and_an_unchanged_state_is_the_same_object() -> None:
    before = engagement(labels={"primary_classification": "Steady Achiever"}, attempts=12)
    untouched = copy.deepcopy(before)
    after, sent = decide(HINT, PROFILE, before, VALUES, TREES, Rules())
    assert after.labels == KNOWN
    assert before == untouched
    ids = {
        decision.tree_id: made_at(HINT.event_id, HINT.user_id, HINT.occurred_at, decision.tree_id)
        for decision in sent
    }
    assert set(ids) == {"primary_classification", "intervention_strategy"}
    assert after == engagement(labels=KNOWN, decision_ids=ids, attempts=12)
    again, decisions = decide(HINT, PROFILE, after, VALUES, TREES, Rules())
    assert again is after
    assert decisions == ()


def test_every_attribute_by_hand() -> None:
    given = event(
        "hint.requested", 2, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    )
    values = features(attempts=2, recent_score=0.25)
    labels: dict[str, str] = {"intervention_strategy": "Worked Examples"}
    _, (decision,) = decide(given, PROFILE, engagement(labels=labels), values, TREES, Rules())
    assert decision == Decision(
        decision_id=str(
            uuid.uuid5(uuid.UUID(given.event_id), f"primary_classification {USER} {day(2).date()}")
        ),
        user_id=USER,
        course_id=COURSE,
        timestamp=day(2),
        tree_id="primary_classification",
        input_attributes=dict(zip(FEATURE_NAMES, values, strict=True)),
        decision_label="Struggling Novice",
        previous_label="",
        class_distribution={
            "Struggling Novice": 0.6,
            "Persistent Striver": 0.2,
            "Steady Achiever": 0.2,
        },
        llm_prompt_output=(
            "The learner looks like a Struggling Novice (60% by tree version 0): "
            "hours between this and the previous activity 0.00 (at most 336), "
            "graded answers in the course 2 (at most 2), "
            "mean score of the latest five graded answers 0.25 (at most 0.3)."
        ),
        thresholds_at_time=Thresholds(
            version=0,
            path=(
                Condition("silence-check", "hours_since_previous", 0.0, "<=", 336),
                Condition("first-answers-check", "attempts", 2.0, "<=", 2.5),
                Condition("first-answers-wrong-check", "recent_score", 0.25, "<=", 0.3),
            ),
        ),
        flagged_rules_hit=(
            "silence-check",
            "first-answers-check",
            "first-answers-wrong-check",
            "first-answers-wrong",
        ),
        retraining_logs=None,
        decision_version=0,
        event_id=given.event_id,
        event_type="hint.requested",
        event_source="label_change",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        prompt_version=PLAIN.version,
        prompt_figures=PromptFigures(COURSE, "", None, (), (), None, None, None, "unknown"),
    )


def test_outside_any_course() -> None:
    given = event("profile.updated", course_id=None, age=20)
    state = Engagement(USER, "")
    after, decisions = decide(given, PROFILE, state, features(), TREES, Rules())
    assert [d.course_id for d in decisions] == ["", ""]
    assert set(after.labels) == set(TREE_IDS)


@settings(deadline=None, max_examples=30)
@given(tree_documents(), feature_values())
def test_a_decision_is_a_valid_record_and_comes_back_as_it_was(
    document: TreeDocument, values: tuple[float, ...]
) -> None:
    trees: dict[TreeId, CompiledTree] = {**TREES, document.tree_id: compile_tree(document)}
    after, decisions = decide(quiz(0.5), PROFILE, engagement(), values, trees, Rules())
    assert after.labels == {tree_id: score(trees[tree_id], values).label for tree_id in TREE_IDS}
    for decision in decisions:
        raw = encode(decision)
        assert list(orjson.loads(raw)) == list(Decision.__struct_fields__)
        assert decision_adapter.validate_json(raw) == decision
