"""Whatever was decided is confirmed; whatever was changed afterwards is reported."""

from __future__ import annotations

from typing import Any

import pytest
from example_learners.algebra import PROFILE, answer, day, engagement, event, features, quiz
from generated.trees import WHEN, feature_values, tree_documents
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from config.prompts import read_prompt_set
from config.seed_trees import seed_trees
from schemas.contract import encode
from schemas.decision import Decision, Thresholds, decision_adapter
from schemas.engagement import Tally
from schemas.feature import FEATURES
from schemas.fields import LABELS, TreeId
from schemas.prompt import PromptFigures, PromptSet, TopicFigure, version_of
from schemas.tree import Retraining, TreeDocument
from streams.decide import decide
from streams.prompt import PLACEHOLDERS, Prompts
from streams.rules import Rules
from streams.scoring import CompiledTree, compile_tree, compile_trees
from streams.verification import verify

PACKAGED = Prompts(read_prompt_set())
EVERY_EVENT = Rules(decide_on_every_event=True, prompts=PACKAGED)

SEEDS = compile_trees(seed_trees())
PRIMARY = SEEDS["primary_classification"]
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
        assert verify(decision, trees[decision.tree_id], PACKAGED) == ()


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
    assert verify(changed, tree, PACKAGED) != ()


def says_everything() -> Prompts:
    """A set whose every prompt says all that is known."""
    text = " ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    templates = {tree_id: dict.fromkeys(labels, text) for tree_id, labels in LABELS.items()}
    levels = {"basic": "Short.", "intermediate": "Plain.", "advanced": "Dense."}
    return Prompts(PromptSet(version_of(templates, levels), templates, levels))


PROMPTS = says_everything()
VALUES = features(attempts=12, answers_per_day=1.5, recent_score=0.95, hours_since_previous=20)


def made() -> Decision:
    profile = replace(PROFILE, learner_level="basic", writing_style_category="concise")
    state = engagement(
        topic_scores={"roots": 40.0, "powers": 60.0},
        redo_topics=("signs",),
        confidence_score_by_topic={"roots": 0.5},
        quiz_attempts=(answer(0.25),),
        format_tallies={"text": Tally(1, 0.5)},
    )
    rules = Rules(prompts=PROMPTS)
    return decide(quiz(0.9, topic_id="roots"), profile, state, VALUES, SEEDS, rules)[1][0]


DECISION = made()
FIGURES = DECISION.prompt_figures
PATH = DECISION.thresholds_at_time.path
TAMPERED: dict[str, list[Any]] = {
    "user_id": ["d5bd0a40-0c0f-4cf4-8b0b-5a6a1a3a6b7e"],
    "timestamp": [day(9)],
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
    "course_id": ["geometry", ""],
    "prompt_version": ["0123456789ab", "", PACKAGED.version],
    "prompt_figures": [
        replace(FIGURES, course_id="geometry"),
        replace(FIGURES, topic_id="powers"),
        replace(FIGURES, topic_id=""),
        replace(FIGURES, learner_level="advanced"),
        replace(FIGURES, learner_level=None),
        replace(FIGURES, weakest_topics=()),
        replace(FIGURES, weakest_topics=(TopicFigure("roots", 41.0), FIGURES.weakest_topics[1])),
        replace(FIGURES, redo_topics=()),
        replace(FIGURES, redo_topics=("signs", "signs")),
        replace(FIGURES, confidence=0.6),
        replace(FIGURES, confidence=None),
        replace(FIGURES, performance=0.75),
        replace(FIGURES, performance=None),
        replace(FIGURES, best_format="video"),
        replace(FIGURES, best_format=None),
        replace(FIGURES, writing_style="narrative"),
        replace(FIGURES, writing_style="unknown"),
    ],
}
SHOWS_NOTHING_OF_ITSELF: dict[str, Any] = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


def test_every_field_is_tried() -> None:
    assert {f.name for f in fields(Decision)} == set(TAMPERED) | set(SHOWS_NOTHING_OF_ITSELF)
    assert verify(DECISION, PRIMARY, PROMPTS) == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, values in TAMPERED.items() for value in values],
)
def test_what_was_changed_is_reported(field: str, value: Any) -> None:
    differences = verify(replace(DECISION, **{field: value}), PRIMARY, PROMPTS)
    named = {difference.partition(":")[0].partition(".")[0] for difference in differences}
    # A record's value may be right and another no longer fit it.
    fits_no_longer = {
        "user_id": {"decision_id"},
        "timestamp": {"decision_id"},
        "event_id": {"event_id", "decision_id"},
        "event_type": {"event_type", "event_source"},
        "input_attributes": {"input_attributes", "thresholds_at_time"},
        "course_id": {"prompt_figures"},
        "prompt_figures": {"prompt_figures", "llm_prompt_output"},
    }
    assert named & fits_no_longer.get(field, {field})


@pytest.mark.parametrize(("field", "value"), SHOWS_NOTHING_OF_ITSELF.items())
def test_what_a_record_cannot_show_is_not_judged(field: str, value: Any) -> None:
    changed = replace(DECISION, **{field: value})
    assert changed != DECISION
    assert verify(changed, PRIMARY, PROMPTS) == ()


def test_differences_say_what_the_tree_gives() -> None:
    changed = replace(DECISION, decision_label="Steady Achiever")
    assert verify(changed, PRIMARY, PROMPTS) == (
        "decision_label: 'Steady Achiever' where it must be 'Fast Tracker'",
    )


def test_missing_inputs_are_named_and_the_rest_is_not_guessed() -> None:
    changed = replace(DECISION, input_attributes={})
    differences = verify(changed, PRIMARY, PROMPTS)
    assert differences[0] == "input_attributes.attempts: missing"
    assert len(differences) == len(FEATURES)


def test_the_wrong_version_is_not_confirmed() -> None:
    other = seed_trees()["primary_classification"].model_copy(update={"version": 4})
    differences = verify(DECISION, compile_tree(other), PROMPTS)
    assert "decision_version: 0 where it must be 4" in differences


def test_without_the_set_all_but_the_prompt_is_judged() -> None:
    unread = replace(DECISION, llm_prompt_output="?", prompt_version="0123456789ab")
    assert verify(unread, PRIMARY, None) == ()
    assert verify(replace(unread, decision_label="Steady Achiever"), PRIMARY, None) != ()


def test_every_figure_is_tried() -> None:
    tried = {
        field.name
        for field in fields(PromptFigures)
        for changed in TAMPERED["prompt_figures"]
        if getattr(changed, field.name) != getattr(FIGURES, field.name)
    }
    assert tried == {field.name for field in fields(PromptFigures)}


@pytest.mark.parametrize("prompts", [PACKAGED, PROMPTS], ids=["packaged", "everything"])
def test_a_prompt_of_another_set_is_reported(prompts: Prompts) -> None:
    other = PROMPTS if prompts is PACKAGED else PACKAGED
    rules = Rules(prompts=prompts)
    for decision in decide(quiz(0.9), PROFILE, engagement(), VALUES, SEEDS, rules)[1]:
        tree = SEEDS[decision.tree_id]
        assert verify(decision, tree, prompts) == ()
        named = [told.partition(":")[0] for told in verify(decision, tree, other)]
        assert named == ["prompt_version", "llm_prompt_output"]
