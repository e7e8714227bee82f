"""Whatever was decided is confirmed; whatever was changed afterwards is reported."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from example_learners.algebra import PROFILE, day, engagement, event, features, quiz
from generated.trees import WHEN, feature_values, tree_documents
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from config.seed_trees import seed_trees
from schemas.decision import Decision, Thresholds, decision_adapter
from schemas.feature import FEATURES
from schemas.fields import TreeId
from schemas.state import encode
from schemas.tree import Retraining, TreeDocument
from streams.decide import decide
from streams.rules import Rules
from streams.scoring import CompiledTree, compile_tree
from streams.verification import verify

EVERY_EVENT = Rules(decide_on_every_event=True)

SEEDS = {tree_id: compile_tree(document) for tree_id, document in seed_trees().items()}
EVENTS = [
    quiz(0.5),
    event("course.enrolled"),
    event("hint.requested"),
    event("profile.updated", course_id=None),
]


@settings(deadline=None, max_examples=60)
@given(
    tree_documents(),
    feature_values(),
    st.sampled_from(EVENTS),
    st.dictionaries(st.just("primary_classification"), st.just("Fast Tracker")),
    st.booleans(),
)
def test_what_was_decided_is_confirmed(
    document: TreeDocument,
    values: tuple[float, ...],
    occurred: Any,
    labels: dict[str, str],
    through_json: bool,
) -> None:
    trees: dict[TreeId, CompiledTree] = {**SEEDS, document.tree_id: compile_tree(document)}
    _, decisions = decide(occurred, PROFILE, engagement(labels=labels), values, trees, EVERY_EVENT)
    assert len(decisions) == 2
    for decision in decisions:
        if through_json:
            decision = decision_adapter.validate_json(encode(decision))  # noqa: PLW2901
        assert verify(decision, trees[decision.tree_id]) == ()


@settings(deadline=None, max_examples=50)
@given(tree_documents(), feature_values(), feature_values(), st.integers(0, 23))
def test_another_value_on_the_path_is_reported(
    document: TreeDocument, values: tuple[float, ...], others: tuple[float, ...], place: int
) -> None:
    tree = compile_tree(document)
    _, decisions = decide(
        quiz(0.5), PROFILE, engagement(), values, {**SEEDS, document.tree_id: tree}, EVERY_EVENT
    )
    decision = next(d for d in decisions if d.tree_id == document.tree_id)
    asked = [c.feature for c in decision.thresholds_at_time.path]
    assume(asked)
    name = asked[place % len(asked)]
    other = others[[f.name for f in FEATURES].index(name)]
    assume(other != decision.input_attributes[name])
    changed = replace(decision, input_attributes={**decision.input_attributes, name: other})
    assert verify(changed, tree) != ()


VALUES = features(attempts=12, answers_per_day=1.5, recent_score=0.95, hours_since_previous=20)


def made() -> Decision:
    return decide(quiz(0.9), PROFILE, engagement(), VALUES, SEEDS, Rules())[1][0]


DECISION = made()
PATH = DECISION.thresholds_at_time.path
TAMPERED: dict[str, list[Any]] = {
    "decision_id": ["0b5a7c1e-6d0f-4f5e-9a55-0c4d1f7a2b90"],
    "tree_id": ["intervention_strategy"],
    "input_attributes": [
        {**DECISION.input_attributes, "recent_score": 0.9},
        {**DECISION.input_attributes, "gpa": 4.5},
        {**DECISION.input_attributes, "gpa": float("nan")},
        {**DECISION.input_attributes, "recent_score": float("nan")},
        {**DECISION.input_attributes, "shoe_size": 43.0},
        {k: v for k, v in DECISION.input_attributes.items() if k != "recent_score"},
        {k: v for k, v in DECISION.input_attributes.items() if k != "gpa"},
        {},
    ],
    "decision_label": ["Steady Achiever", ""],
    "previous_label": ["Genius"],
    "class_distribution": [{"Fast Tracker": 1.0}, {}],
    "llm_prompt_output": [DECISION.llm_prompt_output.replace("0.95", "0.96"), ""],
    "thresholds_at_time": [
        Thresholds(1, PATH),
        Thresholds(0, PATH[:-1]),
        Thresholds(0, ()),
        *(
            Thresholds(0, (replace(PATH[0], **change), *PATH[1:]))
            for change in (
                {"rule_id": "other"},
                {"feature": "gpa"},
                {"value": 21.0},
                {"operator": ">"},
                {"threshold": 337.0},
            )
        ),
    ],
    "flagged_rules_hit": [DECISION.flagged_rules_hit[1:], ()],
    "retraining_logs": [Retraining(WHEN, (), 10)],
    "decision_version": [1],
    "event_id": ["0b5a7c1e-6d0f-4f5e-9a55-0c4d1f7a2b90", "no uuid"],
    "event_type": ["hint.requested", "course.enrolled"],
    "event_source": ["label_change", "every_event", "onboarding"],
}
SHOWS_NOTHING_OF_ITSELF: dict[str, Any] = {
    "user_id": "d5bd0a40-0c0f-4cf4-8b0b-5a6a1a3a6b7e",
    "course_id": "geometry",
    "timestamp": day(9),
    "prompt_version": "0123456789ab",
    "prompt_figures": replace(DECISION.prompt_figures, topic_id="geometry"),
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


def test_every_field_is_tried() -> None:
    assert {f.name for f in fields(Decision)} == set(TAMPERED) | set(SHOWS_NOTHING_OF_ITSELF)
    assert verify(DECISION, SEEDS["primary_classification"]) == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, values in TAMPERED.items() for value in values],
)
def test_what_was_changed_is_reported(field: str, value: Any) -> None:
    differences = verify(replace(DECISION, **{field: value}), SEEDS["primary_classification"])
    named = {difference.partition(":")[0].partition(".")[0] for difference in differences}
    # A record's value may be right and another no longer fit it.
    fits_no_longer = {
        "event_id": {"event_id", "decision_id"},
        "event_type": {"event_type", "event_source"},
        "input_attributes": {"input_attributes", "thresholds_at_time"},
    }
    assert named & fits_no_longer.get(field, {field})


@pytest.mark.parametrize(("field", "value"), SHOWS_NOTHING_OF_ITSELF.items())
def test_what_a_record_cannot_show_is_not_judged(field: str, value: Any) -> None:
    changed = replace(DECISION, **{field: value})
    assert changed != DECISION
    assert verify(changed, SEEDS["primary_classification"]) == ()


def test_differences_say_what_the_tree_gives() -> None:
    changed = replace(DECISION, decision_label="Steady Achiever")
    assert verify(changed, SEEDS["primary_classification"]) == (
        "decision_label: 'Steady Achiever' where the tree gives 'Fast Tracker'",
    )


def test_missing_inputs_are_named_and_the_rest_is_not_guessed() -> None:
    changed = replace(DECISION, input_attributes={})
    differences = verify(changed, SEEDS["primary_classification"])
    assert differences[0] == "input_attributes.attempts: missing"
    assert len(differences) == len(FEATURES)


def test_the_wrong_version_is_not_confirmed() -> None:
    other = seed_trees()["primary_classification"].model_copy(update={"version": 4})
    differences = verify(DECISION, compile_tree(other))
    assert "decision_version: 0 where the tree gives 4" in differences
