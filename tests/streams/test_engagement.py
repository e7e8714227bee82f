"""`fold_engagement` by hand: answers, modules, results, formats. Topics and the rest: beside it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from strategies import START, USERS, event

from schemas.engagement import (
    CalibrationCounts,
    ConfidenceTrend,
    Engagement,
    FormatMatch,
    QuizAttempt,
    Tally,
)
from schemas.event import LearnerEvent
from schemas.profile import Profile
from streams.engagement import fold_engagement

NOBODY = Profile(USERS[0])


def fold(*events: LearnerEvent, profile: Profile = NOBODY) -> Engagement:
    engagement = Engagement(USERS[0], "algebra")
    for one in events:
        engagement = fold_engagement(engagement, one, profile)
    return engagement


def hours(n: float) -> datetime:
    return START + timedelta(hours=n)


def test_an_answer_is_kept_with_all_that_was_told_of_it() -> None:
    engagement = fold(
        event(
            "quiz.submitted",
            question_id="q1",
            score=0.75,
            topic_id="sets",
            module_id="m1",
            skill_tag="proof",
            objective_tag="o1",
            retries=2,
            hint_used=True,
            duration=90,
            confidence=0.25,
        ),
        event("quiz.submitted", hours(1), question_id="q2", score=0.25),
    )
    assert engagement.quiz_attempts == (
        QuizAttempt("q1", 0.75, "proof", "o1", 2, True, "sets", 0.25, START),
        QuizAttempt("q2", 0.25, None, None, 0, False, None, None, hours(1)),
    )
    assert (engagement.attempts, engagement.score_sum, engagement.retries) == (2, 1.0, 2)
    assert (engagement.hints, engagement.time_spent, engagement.module_id) == (1, 90.0, "m1")
    assert engagement.topic_scores == {"sets": 75.0}
    assert engagement.skill_scores == {"proof": 7.5}
    assert engagement.confidence_score_by_topic == {"sets": 0.25}


def test_late_answers_go_where_they_belong_and_the_oldest_leave() -> None:
    answers = [event("quiz.submitted", hours(i), question_id=f"q{i}", score=0.5) for i in range(13)]
    engagement = fold(*answers[4:], *reversed(answers[:4]))
    assert [a.question_id for a in engagement.quiz_attempts] == [f"q{i}" for i in range(5, 13)]
    assert engagement.attempts == 13


def said(at: datetime = START, direction: str = "user", **fields: Any) -> LearnerEvent:
    chat = {"session_id": "s", "message_direction": direction, "message_text": "?"}
    return event("chat.message", at, **chat, **fields)


def test_hints_of_every_kind() -> None:
    engagement = fold(
        event("hint.requested"),
        event("quiz.submitted", question_id="q", score=0, hint_used=True),
        said(hint_used=True),
        said(direction="system", hint_used=True),  # the same hint, as it is given
        said(),
    )
    assert engagement.hints == 3


def test_a_learners_message_tells_flags_and_confidence_of_its_topic() -> None:
    sets = {"contextual_topic_id": "sets"}
    engagement = fold(
        said(hours(0), confidence=0.75, **sets),
        said(hours(1), confidence=0.25, feedback_flags=["confusing", "thanks"], **sets),
        said(hours(2), confidence=0.5, feedback_flags=["too_easy"], contextual_topic_id="maps"),
        said(hours(3), confidence=1.0, feedback_flags=["confusing"]),  # of no topic
    )
    assert engagement.confidence_score_by_topic == {"sets": 0.25, "maps": 0.5}
    # as if reported: from 0.75 to 0.25 in one step
    assert engagement.confidence_score_trends == (ConfidenceTrend("sets", -0.5),)
    assert engagement.flagged_topics == engagement.redo_topics == ("sets",)
    reported = [
        event("confidence.reported", hours(n), topic_id=topic, confidence=value)
        for n, topic, value in ((0, "sets", 0.75), (1, "sets", 0.25), (2, "maps", 0.5))
    ]
    assert fold(*reported).confidence_reports == engagement.confidence_reports


def test_confidence_told_in_the_chat_is_that_of_the_answer_that_follows() -> None:
    engagement = fold(
        said(hours(0), confidence=0.9, contextual_topic_id="sets"),
        event("quiz.submitted", hours(1), question_id="q", score=0.0, topic_id="sets"),
    )
    assert engagement.calibration == CalibrationCounts(confident_wrong=1)


def test_what_the_tutor_says_is_not_what_the_learner_does() -> None:
    engagement = fold(event("course.enrolled"))
    told = {"confidence": 0.9, "feedback_flags": ["confusing"], "contextual_topic_id": "sets"}
    answer = said(hours(9), "system", hint_used=True, **told)
    assert fold_engagement(engagement, answer, NOBODY) is engagement


def test_a_delivery_is_counted_and_is_no_activity() -> None:
    engagement = fold(event("course.enrolled"))
    decision = "00000000-0000-5000-8000-000000000001"
    delivered = event(
        "strategy.delivered", hours(9), decision_id=decision, strategy_label="Encouragement"
    )
    after = fold_engagement(engagement, delivered, NOBODY)
    assert (engagement.deliveries, after.deliveries) == (0, 1)
    assert replace(after, deliveries=0) == engagement


@pytest.mark.parametrize(
    "latest",
    [
        event("module.entered", hours(2), module_id="m2"),
        event("topic.changed", hours(2), topic_id="t", module_id="m2"),
        event("content.viewed", hours(2), content_id="c", content_type="text", module_id="m2"),
        event("quiz.submitted", hours(2), question_id="q", score=1, module_id="m2"),
    ],
    ids=lambda e: e.type,
)
def test_module_id_is_where_the_learner_was_seen_last(latest: LearnerEvent) -> None:
    early = event("module.entered", hours(1), module_id="m9")
    for events in ((early, latest), (latest, early)):
        assert fold(*events).module_id == "m2"
        assert fold(*events).module_at == hours(2)


def test_enrolment_result_and_activity() -> None:
    engagement = fold(
        event("course.withdrawn", hours(30)),
        event("course.enrolled", hours(1)),
        event("course.completed", hours(20), result="pass"),
        event("module.completed", hours(10), module_id="m"),
        event("module.completed", hours(11), module_id="n"),
        event("course.enrolled", hours(2)),
    )
    assert engagement.enrolled_at == hours(1)
    assert (engagement.result, engagement.result_at) == ("withdrawn", hours(30))
    assert engagement.modules_completed == 2
    assert engagement.first_activity_at == hours(1)
    assert engagement.last_activity_at == hours(30)


def test_what_is_no_activity_of_the_learner_gives_the_same_object() -> None:
    engagement = fold(event("course.enrolled"))
    label = event(
        "label.assigned",
        hours(9),
        tree_id="primary_classification",
        label="Fast Tracker",
        assigned_by="tutor",
    )
    assert fold_engagement(engagement, label, NOBODY) is engagement
    told = event("profile.updated", hours(9), course_id=None, format_comfort_rating_text=4)
    assert fold_engagement(engagement, told, NOBODY) is engagement


def answer(score: float, taught_in: str) -> LearnerEvent:
    return event("quiz.submitted", question_id="q", score=score, content_format=taught_in)


def test_format_performance_mismatch() -> None:
    rated = Profile(USERS[0], format_comfort_rating_video=5, format_comfort_rating_image=2)
    engagement = fold(
        answer(0.5, "video"), answer(0.0, "video"), answer(1.0, "text"), profile=rated
    )
    # video: 1 + 4 · 0.25 = 2; text has no comfort, image no answers
    assert engagement.format_performance_mismatch == {"video": FormatMatch(5.0, 2.0)}
    assert engagement.format_tallies == {"video": Tally(2, 0.5), "text": Tally(1, 1.0)}


def test_a_new_rating_is_seen_at_the_next_event_of_any_kind() -> None:
    engagement = fold(answer(1.0, "text"))
    assert engagement.format_performance_mismatch == {}
    rated = Profile(USERS[0], format_comfort_rating_text=1)
    told = event("profile.updated", course_id=None, format_comfort_rating_text=1)
    for any_event in (told, event("hint.requested")):
        after = fold_engagement(engagement, any_event, rated)
        assert after.format_performance_mismatch == {"text": FormatMatch(1.0, 5.0)}
    assert engagement.format_performance_mismatch == {}
