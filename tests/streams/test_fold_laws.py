"""Laws of the three folds over any events: order, originals, bounds, to JSON and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace
from strategies import COURSES, TYPES, USERS, events

from schemas import behavior as behavior_schema
from schemas import engagement as engagement_schema
from schemas.behavior import Behavior, behavior_adapter
from schemas.contract import encode
from schemas.engagement import CONFIDENCE_WINDOW, Engagement, engagement_adapter
from schemas.event import LearnerEvent
from schemas.profile import Profile, profile_adapter
from streams.activity import is_activity
from streams.behavior import fold_behavior
from streams.engagement import fold_engagement
from streams.profile import fold_profile

LAW = settings(deadline=None, max_examples=150)
ONE = USERS[:1]
States = tuple[Profile, Behavior, Engagement]


def fold(all_events: Iterable[LearnerEvent]) -> States:
    """One learner; the engagement takes every event as one of its course."""
    profile, behavior = Profile(USERS[0]), Behavior(USERS[0])
    engagement = Engagement(USERS[0], COURSES[0])
    for event in all_events:
        profile = fold_profile(profile, event)
        behavior = fold_behavior(behavior, event)
        engagement = fold_engagement(engagement, event, profile)
    return profile, behavior, engagement


def told_confidences(all_events: Iterable[LearnerEvent]) -> int:
    count = 0
    for event in all_events:
        if event.type == "survey.answered":
            count += len(event.confidence_by_topic)
        elif event.type == "confidence.reported":
            count += 1
        elif event.type == "quiz.submitted":
            count += event.topic_id is not None and event.confidence is not None
        elif event.type == "chat.message" and event.message_direction == "user":
            count += event.contextual_topic_id is not None and event.confidence is not None
    return count


@st.composite
def shuffled(draw: st.DrawFn, /, **kwargs: Any) -> tuple[list[LearnerEvent], list[LearnerEvent]]:
    first = draw(st.lists(events(users=ONE, **kwargs), max_size=30))
    return first, draw(st.permutations(first))


@given(shuffled())
@LAW
def test_profile_and_behaviour_are_the_same_in_any_order(
    orders: tuple[list[LearnerEvent], list[LearnerEvent]],
) -> None:
    (profile, behavior, _), (other_profile, other_behavior, _) = map(fold, orders)
    assert profile == other_profile
    assert behavior == other_behavior


@given(shuffled())
@LAW
def test_engagement_is_the_same_in_any_order_but_for_calibration_by_late_confidence(
    orders: tuple[list[LearnerEvent], list[LearnerEvent]],
) -> None:
    engagement, other = (asdict(fold(order)[2]) for order in orders)
    for name in ("PMI", "calibration"):
        del engagement[name], other[name]
    if told_confidences(orders[0]) > CONFIDENCE_WINDOW:
        del engagement["confidence_score_by_topic"], other["confidence_score_by_topic"]
    assert engagement == other


@given(shuffled(types=("quiz.submitted",)))
@LAW
def test_calibration_is_the_same_in_any_order_if_each_answer_tells_its_confidence(
    orders: tuple[list[LearnerEvent], list[LearnerEvent]],
) -> None:
    told = [[e for e in order if e.type == "quiz.submitted" and e.confidence] for order in orders]
    assume(told[0])
    engagement, other = fold(told[0])[2], fold(told[1])[2]
    assert (engagement.PMI, engagement.calibration) == (other.PMI, other.calibration)
    assert sum(asdict(engagement.calibration).values()) == len(told[0])


@given(st.lists(events(users=ONE), max_size=15), events(users=ONE))
@LAW
def test_a_fold_leaves_its_arguments_as_they_were(
    before: list[LearnerEvent], event: LearnerEvent
) -> None:
    states = fold(before)
    profile, behavior, engagement = states
    encoded = [encode(state) for state in states]
    fold_profile(profile, event)
    fold_behavior(behavior, event)
    fold_engagement(engagement, event, profile)
    assert [encode(state) for state in states] == encoded


@given(st.lists(events(users=ONE), max_size=40))
@LAW
def test_states_are_valid_and_come_back_from_json(all_events: list[LearnerEvent]) -> None:
    profile, behavior, engagement = fold(all_events)
    assert profile_adapter.validate_json(encode(profile)) == profile
    assert behavior_adapter.validate_json(encode(behavior)) == behavior
    assert engagement_adapter.validate_json(encode(engagement)) == engagement


@given(st.lists(events(users=ONE), max_size=40))
@LAW
def test_windows_are_bounded_and_in_order_of_time(all_events: list[LearnerEvent]) -> None:
    _, behavior, engagement = fold(all_events)
    for window, size in (
        (behavior.module_order_log, behavior_schema.MODULE_ORDER_WINDOW),
        (behavior.content_flags, behavior_schema.CONTENT_FLAGS_WINDOW),
        (engagement.quiz_attempts, engagement_schema.QUIZ_ATTEMPTS_WINDOW),
        (engagement.confidence_reports, engagement_schema.CONFIDENCE_WINDOW),
    ):
        times = [item.timestamp for item in window]
        assert times == sorted(times)
        assert len(times) <= size
    activities = sum(is_activity(event) for event in all_events)
    assert sum(behavior.active_time_distribution.values()) == activities
    assert behavior.events == len(all_events)
    assert behavior.graded_attempts == engagement.attempts
    assert len(behavior.recent_sessions) <= behavior_schema.RECENT_SESSIONS_WINDOW
    assert set(engagement.redo_topics) <= set(engagement.topic_recency)


@given(
    st.lists(events(users=ONE), max_size=15),
    events(users=ONE, types=("chat.message", "label.assigned", "strategy.delivered")),
)
@LAW
def test_what_others_do_changes_nothing_but_counts_of_events_and_deliveries(
    before: list[LearnerEvent], event: LearnerEvent
) -> None:
    assume(not is_activity(event))
    profile, behavior, engagement = fold(before)
    assert fold_profile(profile, event) is profile
    assert fold_behavior(behavior, event) == replace(behavior, events=behavior.events + 1)
    after = fold_engagement(engagement, event, profile)
    if event.type == "strategy.delivered":
        assert after.deliveries == engagement.deliveries + 1
        after.deliveries = engagement.deliveries
    assert after == engagement


@given(st.lists(events(users=ONE, types=("session.started", "session.ended")), max_size=12))
@LAW
def test_session_events_sent_again_change_no_session(all_events: list[LearnerEvent]) -> None:
    """Under other event ids, so that the guard against repeats lets them pass."""
    _, once, course = fold(all_events)
    _, twice, course_twice = fold(all_events + all_events)
    assert once.recent_sessions == twice.recent_sessions
    assert (once.sessions, once.session_seconds) == (twice.sessions, twice.session_seconds)
    assert course.session_logs == course_twice.session_logs
    assert course.open_sessions == course_twice.open_sessions


def test_the_strategies_know_every_type_of_event() -> None:
    union, _ = get_args(LearnerEvent)
    kinds = [get_args(kind.model_fields["type"].annotation)[0] for kind in get_args(union)]
    assert sorted(TYPES) == sorted(kinds)
