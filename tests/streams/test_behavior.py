"""`fold_behavior` by hand, attribute by attribute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from msgspec.structs import replace
from strategies import START, USERS, event

from schemas.behavior import CONTENT_FLAGS_WINDOW, Behavior, ContentFlag, ContentTypeEngagement
from schemas.event import LearnerEvent
from streams.behavior import fold_behavior


def fold(*events: LearnerEvent) -> Behavior:
    behavior = Behavior(USERS[0])
    for one in events:
        behavior = fold_behavior(behavior, one)
    return behavior


def hours(n: float) -> datetime:
    return START + timedelta(hours=n)


def test_what_the_learner_does_is_an_activity_at_its_utc_hour() -> None:
    behavior = fold(
        event("course.enrolled", datetime(2026, 1, 5, 8, 59, tzinfo=UTC)),
        event("topic.changed", datetime(2026, 1, 5, 9, 0, tzinfo=UTC), topic_id="t"),
        event("module.completed", datetime(2026, 1, 6, 8, 0, tzinfo=UTC), module_id="m"),
    )
    assert behavior.active_time_distribution == {"08": 2, "09": 1}
    assert behavior.events == 3


@pytest.mark.parametrize(
    "others",
    [
        event(
            "chat.message",
            hours(9),
            course_id="biology",
            session_id="s",
            message_direction="system",
            message_text="Shall we go on?",
            contextual_topic_id="sets",
            hint_used=True,
            feedback_flags=["confusing"],
            confidence=0.9,
        ),
        event(
            "label.assigned",
            hours(9),
            tree_id="primary_classification",
            label="Fast Tracker",
            assigned_by="tutor",
        ),
        event(
            "strategy.delivered",
            hours(9),
            decision_id="00000000-0000-5000-8000-000000000001",
            strategy_label="Encouragement",
        ),
    ],
    ids=lambda e: e.type,
)
def test_what_others_do_is_counted_and_is_no_activity(others: LearnerEvent) -> None:
    behavior = fold(event("course.enrolled"))
    assert fold_behavior(behavior, others) == replace(behavior, events=2)


def test_activity_spans_the_earliest_to_the_latest_event() -> None:
    behavior = fold(
        event("course.enrolled", hours(1)),
        event("course.enrolled", hours(30)),
        event("course.enrolled", hours(0)),
    )
    assert behavior.first_activity_at == hours(0)
    assert behavior.last_activity_at == hours(30)
    assert behavior.last_activity_date == date(2026, 1, 6)


def test_course_id_is_that_of_the_latest_event_with_a_course() -> None:
    algebra = event("course.enrolled", hours(0), course_id="algebra")
    biology = event("course.enrolled", hours(2), course_id="biology")
    elsewhere = event("profile.updated", hours(5), course_id=None, age=20)
    late = event("course.enrolled", hours(1), course_id="chemistry")
    behavior = fold(algebra, biology, elsewhere, late)
    assert (behavior.course_id, behavior.total_courses) == ("biology", 3)
    assert behavior.course_active_at == hours(2)
    same_time = event("course.enrolled", hours(2), course_id="botany")
    assert fold(biology, same_time).course_id == fold(same_time, biology).course_id == "botany"


def test_time_by_kind_of_work_and_dominant_format() -> None:
    behavior = fold(
        event("content.viewed", content_id="c", content_type="video", duration=60),
        event("content.viewed", content_id="c", content_type="text", duration=40),
        event("content.viewed", content_id="c", content_type="image", duration=5),
        event("quiz.submitted", question_id="q", score=1, duration=30, hint_used=True),
        event("hint.requested"),
        event(
            "chat.message",
            session_id="s",
            message_direction="user",
            message_text="",
            hint_used=True,
        ),
        event(
            "chat.message",
            session_id="s",
            message_direction="system",
            message_text="Try a smaller case.",
            hint_used=True,
        ),
    )
    assert behavior.content_type_engagement == ContentTypeEngagement(
        quiz_time=30, video_time=60, reading_time=45, hint_usage_count=3
    )
    assert behavior.total_time_spent == 135
    assert behavior.format_time == {"video": 60, "text": 40, "image": 5}
    assert behavior.dominant_format == "video"


def test_of_formats_with_equal_time_the_first_by_name_is_dominant() -> None:
    views = [
        event("content.viewed", content_id="c", content_type=name, duration=60)
        for name in ("video", "image", "text")
    ]
    assert fold(*views).dominant_format == fold(*reversed(views)).dominant_format == "image"


def test_avg_score_is_over_all_graded_answers_of_all_courses() -> None:
    behavior = fold(
        event("quiz.submitted", question_id="q", score=1.0, course_id="algebra"),
        event("quiz.submitted", question_id="q", score=0.5, course_id="biology"),
        event("quiz.submitted", question_id="q", score=0.0, course_id="biology"),
    )
    assert behavior.avg_score == pytest.approx(0.5)
    assert behavior.graded_attempts == 3


def test_modules_in_order_of_time_and_the_share_off_the_path() -> None:
    behavior = fold(
        event("module.entered", hours(0), module_id="a", module_index=0),
        event("module.entered", hours(2), module_id="c", module_index=2),
        event("module.entered", hours(1), module_id="b", module_index=1),
        event("module.entered", hours(3), module_id="a", module_index=0),
    )
    assert [v.module_id for v in behavior.module_order_log] == ["a", "b", "c", "a"]
    assert behavior.exploratory_behavior_score == pytest.approx(1 / 3)


def test_flags_come_from_flagging_surveys_and_chat() -> None:
    behavior = fold(
        event("topic.flagged", hours(0), topic_id="sets", flagged_type="interesting"),
        event("survey.answered", hours(1), survey_id="w", flagged_topics=["sets", "maps"]),
        event(
            "chat.message",
            hours(2),
            session_id="s",
            message_direction="user",
            message_text="",
            contextual_topic_id="maps",
            feedback_flags=["Confusing", "needs revision", "thank you"],
        ),
    )
    assert behavior.content_flags == (
        ContentFlag("sets", "interesting", hours(0)),
        ContentFlag("sets", "needs_revision", hours(1)),
        ContentFlag("maps", "confusing", hours(2)),
        ContentFlag("maps", "needs_revision", hours(2)),  # newer than the survey's
    )


def test_the_latest_flags_are_kept() -> None:
    flags = [
        event("topic.flagged", hours(i), topic_id=f"t{i}", flagged_type="too_hard")
        for i in range(CONTENT_FLAGS_WINDOW + 2)
    ]
    kept = fold(*reversed(flags)).content_flags
    assert [flag.topic_id for flag in kept] == ["t2", "t3", "t4", "t5", "t6"]
