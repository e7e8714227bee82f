"""When an example is opened, what is counted into it, and what settles it."""

from __future__ import annotations

import uuid
from copy import copy, deepcopy
from typing import Any

import pytest
from example_learners.algebra import COURSE, USER, answer, day, engagement, event, features, quiz
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.contract import encode
from schemas.engagement import PENDING_WINDOW, ConfidenceReport, Engagement, PendingExample
from schemas.event import LearnerEvent
from schemas.example import TreeExample, example_adapter
from schemas.feature import FEATURE_NAMES
from schemas.fields import LABELS
from streams.derived_id import made_at
from streams.hindsight import open_example, settle

VALUES = features(recent_score=0.25, attempts=4)
FIRST = quiz(0.25, 0)


def opened(
    state: Engagement | None = None, at: LearnerEvent = FIRST, strategy: str = "Worked Examples"
) -> Engagement:
    return open_example(state or engagement(), at, VALUES, "Steady Achiever", strategy)


def settled(state: Engagement, *events: LearnerEvent) -> tuple[Engagement, list[TreeExample]]:
    examples: list[TreeExample] = []
    for each in events:
        state, new = settle(state, each)
        examples += new
    return state, examples


def chat(hint_used: bool, direction: str = "user", days: float = 1) -> LearnerEvent:
    return event(
        "chat.message",
        days,
        session_id="s",
        message_direction=direction,
        message_text="how?",
        hint_used=hint_used,
    )


def delivered(at: LearnerEvent = FIRST, days: float = 0.01) -> LearnerEvent:
    """The strategy decided at an event was taken by the query-strategy service."""
    decision = made_at(at.event_id, at.user_id, at.occurred_at, "intervention_strategy")
    return event("strategy.delivered", days, decision_id=decision, strategy_label="Worked Examples")


def test_three_answers_settle_it_by_hand() -> None:
    # mean (.25 + .5 + .375) / 3 = .375, above .25 before; retries 2 + hints 2 over 3 answers
    state, examples = settled(
        opened(),
        quiz(0.25, 1, retries=2),
        event("hint.requested", 1.5),
        quiz(0.5, 2, hint_used=True),
        quiz(0.375, 3),
    )
    assert state.pending == ()
    shared: dict[str, Any] = {
        "user_id": USER,
        "course_id": COURSE,
        "decided_at": day(0),
        "labelled_at": day(3),
        "features": dict(zip(FEATURE_NAMES, VALUES, strict=True)),
        "labelled_by": "next_attempts",
    }
    namespace, made_of = uuid.UUID(FIRST.event_id), f"{USER} {day(0).date()}"
    assert examples == [
        TreeExample(
            example_id=str(uuid.uuid5(namespace, f"example:primary_classification {made_of}")),
            tree_id="primary_classification",
            label="Persistent Striver",
            **shared,
        ),
        TreeExample(
            example_id=str(uuid.uuid5(namespace, f"example:intervention_strategy {made_of}")),
            tree_id="intervention_strategy",
            label="Worked Examples",
            **shared,
        ),
    ]
    assert [example_adapter.validate_json(encode(example)) for example in examples] == examples


def test_a_strategy_that_did_not_help_teaches_the_one_that_was_needed() -> None:
    _, examples = settled(opened(), quiz(0.25, 1), quiz(0.25, 2), quiz(0.25, 3))
    assert [(e.tree_id, e.label) for e in examples] == [
        ("primary_classification", "Struggling Novice"),
        ("intervention_strategy", "Scaffolded Remediation"),
    ]


def test_confidence_comes_from_the_answer_or_else_from_what_was_told_of_its_topic() -> None:
    state = opened(engagement(confidence_score_by_topic={"roots": 1.0}))
    state, _ = settled(
        state,
        quiz(0.5, 1, topic_id="roots"),
        quiz(0.5, 2, topic_id="roots", confidence=0.75),
    )
    (example,) = state.pending
    assert (example.confidence_gap_sum, example.confidence_count) == (0.75, 2)
    state, _ = settled(opened(), quiz(0.5, 1, topic_id="roots"), quiz(0.5, 2))
    assert state.pending[0].confidence_count == 0


@pytest.mark.parametrize(("days", "gap"), [(1, 0.25), (2, -0.5)])
def test_a_confidence_told_after_the_answer_is_not_the_answers(days: float, gap: float) -> None:
    told = (ConfidenceReport("roots", 0.75, day(0.5)), ConfidenceReport("roots", 0.0, day(1.5)))
    told_last = {"roots": 0.0}
    state = opened(engagement(confidence_reports=told, confidence_score_by_topic=told_last))
    state, _ = settle(state, quiz(0.5, days, topic_id="roots"))
    assert (state.pending[0].confidence_gap_sum, state.pending[0].confidence_count) == (gap, 1)


@pytest.mark.parametrize(
    ("occurred", "hints"),
    [
        (event("hint.requested", 1), 1),
        (quiz(0.5, 1, hint_used=True), 1),
        (quiz(0.5, 1), 0),
        (chat(hint_used=True), 1),
        (chat(hint_used=False), 0),
        (chat(hint_used=True, direction="system"), 0),  # it was counted when it was asked for
    ],
)
def test_hints_are_counted_wherever_they_are_given(occurred: LearnerEvent, hints: int) -> None:
    state, _ = settle(opened(), occurred)
    assert state.pending[0].hints == hints


DECISION_POINTS = [
    quiz(0.5),
    event("course.enrolled"),
    event("topic.changed", topic_id="roots"),
    event("profile.updated", course_id=None),
]


@pytest.mark.parametrize("occurred", DECISION_POINTS, ids=lambda e: e.type)
def test_opened_at_decision_points(occurred: LearnerEvent) -> None:
    state = opened(at=occurred)
    assert state.pending == (
        PendingExample(
            event_id=occurred.event_id,
            opened_at=day(0),
            features=VALUES,
            label="Steady Achiever",
            strategy="Worked Examples",
            score_before=0.25,
        ),
    )


@pytest.mark.parametrize(
    "state",
    [Engagement(USER, ""), engagement(result="pass")],
    ids=["outside any course", "the course is over"],
)
def test_not_opened_where_nothing_can_follow(state: Engagement) -> None:
    assert open_example(state, FIRST, VALUES, "Steady Achiever", "Encouragement") is state


def test_not_opened_elsewhere() -> None:
    state = engagement()
    hint = event("hint.requested")
    assert open_example(state, hint, VALUES, "Steady Achiever", "Encouragement") is state


def test_two_answers_lie_between_two_openings_and_two_are_open_at_most() -> None:
    state, opened_at, examples = engagement(), [], []
    for n in range(12):
        occurred = quiz(0.5, n)
        state, new = settle(state, occurred)
        examples += [e for e in new if e.tree_id == "primary_classification"]
        before = len(state.pending)
        state = opened(state, occurred)
        opened_at += [n] * (len(state.pending) - before)
        assert len(state.pending) <= PENDING_WINDOW
    assert opened_at == [0, 2, 4, 6, 8, 10]
    # each settles with its third answer, so that two in succession share one
    assert [(e.decided_at, e.labelled_at) for e in examples] == [
        (day(n), day(n + 3)) for n in (0, 2, 4, 6, 8)
    ]


def test_what_happened_before_says_nothing_of_what_came_after() -> None:
    state = opened(at=quiz(0.25, 5))
    for late in (
        quiz(1.0, 4),
        event("hint.requested", 4),
        event("course.withdrawn", 4),
        event(
            "label.assigned",
            4,
            tree_id="primary_classification",
            label="Fast Tracker",
            assigned_by="t",
        ),
    ):
        assert settle(state, late) == (state, ())
        assert settle(state, late)[0] is state
    state, _ = settle(state, quiz(1.0, 5))
    assert state.pending[0].attempts == 1


REGULAR = (answer(0.5, -6), answer(0.5, -3), answer(0.5, 0))
"""One answer every three days."""

MONTHLY = (answer(0.5, -28), answer(0.5, 0))


@pytest.mark.parametrize(
    ("answers", "away", "silent"),
    [
        (REGULAR, 13.9, False),
        (REGULAR, 14, True),
        (MONTHLY, 83, False),
        (MONTHLY, 84, True),
        # no rhythm yet: enrolled long ahead, the first answer came in now
        ((), 100, False),
        ((answer(0.5, 0),), 100, False),
        # all on one day
        ((answer(0.5, 0), answer(0.5, 0)), 14, True),
    ],
)
def test_silence_is_two_weeks_and_three_times_the_usual_gap(
    answers: tuple[Any, ...], away: float, silent: bool
) -> None:
    state = opened(engagement(quiz_attempts=answers, last_activity_at=day(0)))
    _, examples = settle(state, event("content.viewed", away, content_id="c", content_type="text"))
    assert [(e.label, e.labelled_by) for e in examples] == (
        [("Disengaging Learner", "silence"), ("Re-engagement Outreach", "silence")]
        if silent
        else []
    )


def test_a_silence_tells_nothing_of_what_was_decided_within_it() -> None:
    state = opened(engagement(quiz_attempts=REGULAR, last_activity_at=day(0)))
    state.pending[0].attempts = 2
    state = opened(state, event("profile.updated", 20, course_id=None))
    state, examples = settle(state, quiz(0.5, 21))
    assert {e.decided_at for e in examples} == {day(0)}
    assert {e.labelled_by for e in examples} == {"silence"}
    assert [(p.opened_at, p.attempts) for p in state.pending] == [(day(20), 1)]


def test_a_result_after_a_silence_is_the_result() -> None:
    state = opened(engagement(quiz_attempts=REGULAR, last_activity_at=day(0)))
    _, examples = settle(state, event("course.completed", 30, result="distinction"))
    assert [(e.label, e.labelled_by) for e in examples] == [
        ("Fast Tracker", "course_result"),
        ("Worked Examples", "course_result"),
    ]


def test_a_result_settles_all_that_is_open() -> None:
    state, _ = settled(opened(), quiz(0.5, 1), quiz(0.5, 2))
    state = opened(state, quiz(0.5, 2))
    assert len(state.pending) == 2
    state, examples = settle(state, event("course.withdrawn", 3))
    assert state.pending == ()
    assert [(e.decided_at, e.label) for e in examples] == [
        (day(0), "Disengaging Learner"),
        (day(0), "Re-engagement Outreach"),
        (day(2), "Disengaging Learner"),
        (day(2), "Re-engagement Outreach"),
    ]


@pytest.mark.parametrize(
    ("tree_id", "label"),
    [
        ("primary_classification", "Underconfident Achiever"),
        ("intervention_strategy", "Spaced Review"),
    ],
)
def test_a_person_teaches_the_tree_that_they_name(tree_id: str, label: str) -> None:
    assigned = event("label.assigned", 1, tree_id=tree_id, label=label, assigned_by="teacher")
    state, examples = settle(opened(), assigned)
    assert state.pending == ()
    assert [(e.tree_id, e.label, e.labelled_by) for e in examples] == [(tree_id, label, "person")]


THREE = (quiz(0.25, 1), quiz(0.5, 2), quiz(0.75, 3))
"""Mean .5, above .25 before: the strategy helped."""

PRIMARY = ("primary_classification", "Steady Achiever")
CONFIRMED = ("intervention_strategy", "Worked Examples")


@pytest.mark.parametrize(
    ("deliveries", "told", "learned"),
    [
        (0, (), [PRIMARY, CONFIRMED]),  # nobody tells of deliveries: decided is delivered
        (1, (), [PRIMARY]),  # others were delivered, this one was not
        (1, (delivered(),), [PRIMARY, CONFIRMED]),
        (1, (delivered(quiz(0.5, 9)),), [PRIMARY]),  # another decision's strategy
        (1, (delivered(days=9000),), [PRIMARY, CONFIRMED]),  # the service's clock is its own
        (1, (delivered(days=-9000),), [PRIMARY, CONFIRMED]),
        (1, (delivered(), delivered()), [PRIMARY, CONFIRMED]),
    ],
)
def test_the_intervention_tree_learns_from_what_was_delivered(
    deliveries: int, told: tuple[LearnerEvent, ...], learned: list[tuple[str, str]]
) -> None:
    state, examples = settled(opened(engagement(deliveries=deliveries)), *told, *THREE)
    assert [(e.tree_id, e.label) for e in examples] == learned
    assert state.pending == ()


def test_a_delivery_marks_its_own_example_and_settles_nothing() -> None:
    second = quiz(0.5, 2)
    state, _ = settled(opened(), quiz(0.5, 1), second)
    state = opened(state, second)
    after, examples = settle(state, delivered(second))
    assert examples == ()
    assert [example.delivered for example in after.pending] == [False, True]
    assert [example.delivered for example in state.pending] == [False, False]
    assert after.pending[0] is state.pending[0]
    other = delivered(quiz(0.1, 7))
    assert settle(after, other)[0] is after


def test_a_delivery_after_the_example_settled_changes_nothing() -> None:
    state, _ = settled(opened(engagement(deliveries=1)), *THREE)
    assert settle(state, delivered()) == (state, ())
    assert settle(state, delivered())[0] is state


@pytest.mark.parametrize("deliveries", [0, 1])
def test_results_and_silence_teach_the_same_way(deliveries: int) -> None:
    state = opened(
        engagement(quiz_attempts=REGULAR, last_activity_at=day(0), deliveries=deliveries)
    )
    for end in (event("course.completed", 1, result="pass"), quiz(0.5, 14)):
        trees = [e.tree_id for e in settle(state, end)[1]]
        assert trees == ["primary_classification", "intervention_strategy"][: 2 - deliveries]
        trees = [e.tree_id for e in settled(state, delivered(), end)[1]]
        assert trees == ["primary_classification", "intervention_strategy"]


def test_a_person_teaches_what_was_never_delivered() -> None:
    assigned = event(
        "label.assigned",
        1,
        tree_id="intervention_strategy",
        label="Spaced Review",
        assigned_by="teacher",
    )
    _, examples = settle(opened(engagement(deliveries=3)), assigned)
    assert [(e.tree_id, e.label) for e in examples] == [("intervention_strategy", "Spaced Review")]


@pytest.mark.parametrize("others", [chat(False, "system", days=20), delivered(days=20)])
def test_what_others_do_neither_shows_nor_ends_a_silence(others: LearnerEvent) -> None:
    state = opened(engagement(quiz_attempts=REGULAR, last_activity_at=day(0)))
    state, examples = settle(state, others)
    assert examples == ()
    _, examples = settle(state, quiz(0.5, 21))
    assert {e.labelled_by for e in examples} == {"silence"}


def test_with_nothing_open_the_state_is_the_same_object() -> None:
    state = engagement()
    assert settle(state, quiz(1.0)) == (state, ())
    assert settle(state, quiz(1.0))[0] is state


moments = st.integers(0, 60).map(float)
happenings = st.one_of(
    st.builds(
        quiz,
        st.integers(0, 8).map(lambda n: n / 8),
        moments,
        retries=st.integers(0, 3),
        hint_used=st.booleans(),
        confidence=st.none() | st.integers(0, 8).map(lambda n: n / 8),
    ),
    st.builds(event, st.sampled_from(["hint.requested", "course.enrolled"]), moments),
    st.builds(event, st.just("topic.changed"), moments, topic_id=st.just("roots")),
    st.builds(event, st.just("course.withdrawn"), moments),
    st.builds(
        event,
        st.just("course.completed"),
        moments,
        result=st.sampled_from(["distinction", "pass", "fail"]),
    ),
    st.builds(
        event,
        st.just("label.assigned"),
        moments,
        tree_id=st.just("primary_classification"),
        label=st.sampled_from(LABELS["primary_classification"]),
        assigned_by=st.just("teacher"),
    ),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(happenings, max_size=25))
def test_whatever_happens_examples_are_few_of_known_labels_and_given_once(
    events: list[LearnerEvent],
) -> None:
    state, ids = engagement(), []
    for occurred in {each.event_id: each for each in events}.values():
        before = deepcopy(state)
        after, examples = settle(state, occurred)
        assert state == before
        for example in examples:
            assert example.label in LABELS[example.tree_id]
            assert example.decided_at <= example.labelled_at
            assert tuple(example.features.values()) == VALUES
        ids += [example.example_id for example in examples]
        assert len(ids) == len(set(ids))
        state = copy(opened(after, occurred))
        assert len(state.pending) <= PENDING_WINDOW
        state.last_activity_at = max(state.last_activity_at or day(0), occurred.occurred_at)
