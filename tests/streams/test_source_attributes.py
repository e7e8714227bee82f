"""Sections 1–3 of the source, attribute by attribute: each stands in a state, and some event moves
it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import fields
from strategies import START, USERS, event

from schemas.behavior import Behavior, ContentFlag, ContentTypeEngagement, ModuleVisit
from schemas.engagement import ConfidenceTrend, Engagement, FormatMatch, QuizAttempt, SessionLog
from schemas.event import LearnerEvent
from schemas.profile import Profile, WritingMetrics
from streams.behavior import fold_behavior
from streams.engagement import fold_engagement
from streams.profile import fold_profile

LATER = START + timedelta(minutes=30)
TEXT = "He said that they knew her answer, and she told him so. " * 4

TOLD = {
    "age": 19,
    "class_year": "freshman",
    "courses_completed": 3,
    "gpa": 3.5,
    "learner_purpose": "scratch",
    "format_preference": "video",
    "format_comfort_rating_text": 2,
    "format_comfort_rating_image": 3,
    "format_comfort_rating_video": 4,
    "format_comprehension_score_text": 0.5,
    "format_comprehension_score_image": 0.5,
    "format_comprehension_score_video": 0.5,
    "session_preference": "short_chunks",
    "ui_theme_preference": "dark",
    "layout_preference": "grid",
    "study_mode": "solo",
    "learner_level": "basic",
}
WRITTEN = [event("feedback.given", text=TEXT)]
ANSWER = event(
    "quiz.submitted",
    question_id="q",
    score=0.0,
    topic_id="sets",
    skill_tag="proof",
    duration=60,
    confidence=0.75,
    content_format="video",
    hint_used=True,
)
SURE = event("confidence.reported", LATER, topic_id="sets", confidence=1)
SESSION = [
    event("session.started", session_id="s"),
    event("session.ended", LATER, session_id="s"),
]
BACK = [
    event("module.entered", module_id="b", module_index=1),
    event("module.entered", LATER, module_id="a", module_index=0),
]
FLAG = event("topic.flagged", topic_id="sets", flagged_type="confusing")
VIEW = event("content.viewed", content_id="c", content_type="text", duration=60)
RATED = event("profile.updated", course_id=None, format_comfort_rating_video=5)

PROFILE: dict[str, list[LearnerEvent]] = {
    **{name: [event("profile.updated", **{name: value})] for name, value in TOLD.items()},
    "writing_style_category": WRITTEN,
    "writing_metrics": WRITTEN,
}
BEHAVIOR: dict[str, list[LearnerEvent]] = {
    "course_id": [ANSWER],
    "total_time_spent": [VIEW],
    "content_type_engagement": [VIEW],
    "module_order_log": BACK,
    "retention_span": SESSION,
    "active_time_distribution": [VIEW],
    "exploratory_behavior_score": BACK,
    "content_flags": [FLAG],
    "total_courses": [VIEW],
    "avg_score": [event("quiz.submitted", question_id="q", score=0.5)],
    "dominant_format": [VIEW],
    "last_activity_date": [VIEW],
}
ENGAGEMENT: dict[str, list[LearnerEvent]] = {
    "module_id": BACK,
    "quiz_attempts": [ANSWER],
    "confidence_score_by_topic": [SURE],
    "confidence_score_trends": [ANSWER, SURE],
    "redo_topics": [FLAG],
    "topic_scores": [ANSWER],
    "PMI": [ANSWER],
    "skill_scores": [ANSWER],
    "flagged_topics": [event("survey.answered", survey_id="w", flagged_topics=["sets"])],
    "session_logs": SESSION,
    "format_performance_mismatch": [ANSWER, RATED],
}
PARTS: dict[type[Any], tuple[str, ...]] = {
    WritingMetrics: (
        "avg_sentence_length",
        "type_token_ratio",
        "pronoun_usage",
        "contractions_count",
    ),
    ContentTypeEngagement: ("quiz_time", "video_time", "reading_time", "hint_usage_count"),
    ModuleVisit: ("module_id", "timestamp"),
    ContentFlag: ("topic_id", "flagged_type"),
    QuizAttempt: ("question_id", "score", "skill_tag", "objective_tag", "retries", "hint_used"),
    ConfidenceTrend: ("topic_id", "trend_value"),
    SessionLog: ("start_time", "end_time", "duration", "activity_type"),
    FormatMatch: ("comfort", "performance"),
}


def names(state: type[Any]) -> set[str]:
    return {field.name for field in fields(state)}


def test_the_source_s_attributes_stand_under_their_own_names() -> None:
    assert {"user_id", *PROFILE} <= names(Profile)
    assert {"user_id", *BEHAVIOR} <= names(Behavior)
    assert {"user_id", "course_id", *ENGAGEMENT} <= names(Engagement)
    assert (len(PROFILE), len(BEHAVIOR), len(ENGAGEMENT)) == (19, 12, 11)
    for part, attributes in PARTS.items():
        assert set(attributes) <= names(part), part


@pytest.mark.parametrize("name", PROFILE)
def test_an_event_moves_each_attribute_of_the_profile(name: str) -> None:
    profile = Profile(USERS[0])
    for one in PROFILE[name]:
        profile = fold_profile(profile, one)
    expected = TOLD.get(name)
    assert getattr(profile, name) != getattr(Profile(USERS[0]), name)
    assert expected is None or getattr(profile, name) == expected


@pytest.mark.parametrize("name", BEHAVIOR)
def test_an_event_moves_each_attribute_of_the_behaviour(name: str) -> None:
    behavior = Behavior(USERS[0])
    for one in BEHAVIOR[name]:
        behavior = fold_behavior(behavior, one)
    assert getattr(behavior, name) != getattr(Behavior(USERS[0]), name)


@pytest.mark.parametrize("name", ENGAGEMENT)
def test_an_event_moves_each_attribute_of_the_engagement(name: str) -> None:
    profile, engagement = Profile(USERS[0]), Engagement(USERS[0], "algebra")
    for one in ENGAGEMENT[name]:
        profile = fold_profile(profile, one)
        engagement = fold_engagement(engagement, one, profile)
    assert getattr(engagement, name) != getattr(Engagement(USERS[0], "algebra"), name)
