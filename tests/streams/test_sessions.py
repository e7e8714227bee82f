"""Pairing of session ends, in any order and more than once."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import permutations

import pytest
from strategies import START, USERS, event

from schemas.behavior import RECENT_SESSIONS_WINDOW, Behavior
from schemas.engagement import Engagement
from schemas.event import LearnerEvent
from schemas.profile import Profile
from streams.behavior import fold_behavior
from streams.engagement import fold_engagement


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def start(hours: float, name: str = "s", activity: str = "mixed") -> LearnerEvent:
    return event("session.started", at(hours), session_id=name, activity_type=activity)


def end(hours: float, name: str = "s", activity: str = "mixed") -> LearnerEvent:
    return event("session.ended", at(hours), session_id=name, activity_type=activity)


def behave(*events: LearnerEvent) -> Behavior:
    behavior = Behavior(USERS[0])
    for one in events:
        behavior = fold_behavior(behavior, one)
    return behavior


def engage(*events: LearnerEvent) -> Engagement:
    engagement = Engagement(USERS[0], "algebra")
    for one in events:
        engagement = fold_engagement(engagement, one, Profile(USERS[0]))
    return engagement


def test_retention_span_is_the_mean_length_of_a_session() -> None:
    behavior = behave(start(0, "a"), end(1, "a"), start(5, "b"), end(7, "b"), start(9, "c"))
    assert (behavior.sessions, behavior.session_seconds) == (2, 10_800.0)
    assert behavior.retention_span == 5_400.0


def test_the_end_may_come_first() -> None:
    for events in permutations((start(0), end(2))):
        assert behave(*events).retention_span == 7_200.0


@pytest.mark.parametrize("extra", [start(1), start(0), end(3), end(2)], ids=str)
def test_an_end_told_again_counts_once(extra: LearnerEvent) -> None:
    for events in permutations((start(0), end(2), extra)):
        behavior = behave(*events)
        assert (behavior.sessions, behavior.retention_span) == (1, 7_200.0)
        assert [log.duration for log in engage(*events).session_logs] == [7_200.0]


@pytest.mark.parametrize(("begin", "finish"), [(2, 1), (0, 24.001)])
def test_what_cannot_be_one_session_is_not_counted(begin: float, finish: float) -> None:
    for events in permutations((start(begin), end(finish))):
        behavior = behave(*events)
        assert (behavior.sessions, behavior.session_seconds, behavior.retention_span) == (0, 0, 0)
        assert engage(*events).session_logs == ()


def test_a_session_of_a_whole_day_counts() -> None:
    assert behave(start(0), end(24)).retention_span == 86_400.0


def test_session_logs_hold_both_ends_and_what_was_done() -> None:
    for events in permutations((start(0, "a", "reading"), end(1, "a"), start(2, "b"))):
        engagement = engage(*events)
        (log,) = engagement.session_logs
        assert (log.session_id, log.activity_type) == ("a", "reading")
        assert (log.start_time, log.end_time, log.duration) == (at(0), at(1), 3_600.0)
        assert [waiting.session_id for waiting in engagement.open_sessions] == ["b"]


def test_a_session_that_waits_outlives_finished_ones() -> None:
    others = [
        e
        for i in range(RECENT_SESSIONS_WINDOW + 2)
        for e in (start(i, f"x{i}"), end(i + 1, f"x{i}"))
    ]
    behavior = behave(start(0), *others, end(9))
    assert behavior.sessions == len(others) / 2 + 1
    assert behavior.session_seconds == (len(others) / 2 + 9) * 3_600


def test_never_ended_sessions_leave_the_oldest_first() -> None:
    behavior = behave(*(start(i, f"x{i}") for i in (3, 0, 2, 1, 5, 4)))
    assert [s.session_id for s in behavior.recent_sessions] == ["x4", "x5"]


def test_a_repeat_of_a_logged_session_leaves_those_that_wait() -> None:
    events = [start(0), end(1), start(2, "a"), start(3, "b")]
    assert engage(*events, end(1)) == engage(*events, start(0)) == engage(*events)


def test_sessions_taken_out_again_leave_no_rounding_error() -> None:
    tenth, fifth = 0.1 / 3600, 0.2 / 3600
    behavior = behave(start(1, "a"), end(1 + tenth, "a"), start(1, "b"), end(1 + fifth, "b"))
    assert behavior.session_seconds == 0.1 + 0.2
    for earlier in (end(0, "a"), end(0, "b")):
        behavior = fold_behavior(behavior, earlier)
    assert (behavior.sessions, behavior.session_seconds, behavior.retention_span) == (0, 0.0, 0.0)
