"""Hypothesis strategies for valid events of every type, of few learners, courses and topics.

Scores, durations and times are multiples of 1/8, of which sums of floats are exact: two orders of
the same events can be compared with ``==``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from hypothesis import strategies as st

from schemas.event import LearnerEvent, event_adapter
from schemas.fields import LABELS

USERS = tuple(f"00000000-0000-4000-8000-00000000000{i}" for i in range(3))
COURSES = ("algebra", "biology", "chemistry")
MODULES = tuple(f"module-{i}" for i in range(5))
TOPICS = tuple(f"topic-{i}" for i in range(6))
SKILLS = ("factoring", "graphing", "proof")
QUESTIONS = tuple(f"q{i}" for i in range(5))
SESSIONS = ("s1", "s2")
FORMATS = ("text", "image", "video")
ACTIVITIES = ("reading", "video", "quiz", "chat", "discussion", "mixed")
FLAGS = ("confusing", "needs_revision", "too_hard", "too_easy", "interesting")
START = datetime(2026, 1, 5, 8, tzinfo=UTC)

Strategy = st.SearchStrategy[Any]

scores = st.integers(0, 8).map(lambda n: n / 8)
durations = st.integers(0, 8 * 600).map(lambda n: n / 8)
texts = st.one_of(
    st.lists(
        st.sampled_from(["I", "don't", "they", "the", "proof", "is", "odd", ".", "?", "1.5"]),
        max_size=12,
    ).map(" ".join),
    st.text(max_size=60),
)
times = st.one_of(
    st.integers(0, 400).map(lambda n: START + timedelta(minutes=15 * n)),
    st.integers(0, 8 * 86_400 * 20).map(lambda n: START + timedelta(seconds=n / 8)),
)
"""Often the same instant twice, over some weeks."""

_topic = st.sampled_from(TOPICS)
_module = st.sampled_from(MODULES)
_question = st.sampled_from(QUESTIONS)
_session = st.fixed_dictionaries(
    {"session_id": st.sampled_from(SESSIONS)},
    optional={"activity_type": st.sampled_from(ACTIVITIES)},
)
_ratings = st.integers(1, 5)

FIELDS: dict[str, Strategy] = {
    "profile.updated": st.fixed_dictionaries(
        {},
        optional={
            "age": st.integers(5, 120),
            "class_year": st.sampled_from(("freshman", "senior", "graduate")),
            "courses_completed": st.integers(0, 60),
            "gpa": st.integers(0, 32).map(lambda n: n / 8),
            "learner_purpose": st.sampled_from(("scratch", "revising", "exploring")),
            "format_preference": st.sampled_from(FORMATS),
            **{f"format_comfort_rating_{name}": _ratings for name in FORMATS},
            **{f"format_comprehension_score_{name}": scores for name in FORMATS},
            "session_preference": st.sampled_from(("short_chunks", "long_sessions")),
            "ui_theme_preference": st.sampled_from(("dark", "light")),
            "layout_preference": st.sampled_from(("grid", "list")),
            "study_mode": st.sampled_from(("solo", "group")),
            "learner_level": st.sampled_from(("basic", "intermediate", "advanced")),
        },
    ),
    "session.started": _session,
    "session.ended": _session,
    "content.viewed": st.fixed_dictionaries(
        {"content_id": st.just("c1"), "content_type": st.sampled_from(FORMATS)},
        optional={"duration": durations, "module_id": _module, "topic_id": _topic},
    ),
    "module.entered": st.fixed_dictionaries(
        {"module_id": _module}, optional={"module_index": st.integers(0, 4)}
    ),
    "module.completed": st.fixed_dictionaries({"module_id": _module}),
    "quiz.submitted": st.fixed_dictionaries(
        {"question_id": _question, "score": scores},
        optional={
            "topic_id": _topic,
            "module_id": _module,
            "skill_tag": st.sampled_from(SKILLS),
            "objective_tag": st.sampled_from(("o1", "o2")),
            "retries": st.integers(0, 3),
            "hint_used": st.booleans(),
            "duration": durations,
            "confidence": scores,
            "content_format": st.sampled_from(FORMATS),
        },
    ),
    "hint.requested": st.fixed_dictionaries(
        {}, optional={"question_id": _question, "topic_id": _topic}
    ),
    "confidence.reported": st.fixed_dictionaries({"topic_id": _topic, "confidence": scores}),
    "topic.flagged": st.fixed_dictionaries(
        {"topic_id": _topic, "flagged_type": st.sampled_from(FLAGS)}
    ),
    "topic.changed": st.fixed_dictionaries({"topic_id": _topic}, optional={"module_id": _module}),
    "survey.answered": st.fixed_dictionaries(
        {"survey_id": st.just("week-1")},
        optional={
            "flagged_topics": st.lists(_topic, max_size=3),
            "confidence_by_topic": st.dictionaries(_topic, scores, max_size=3),
        },
    ),
    "feedback.given": st.fixed_dictionaries(
        {}, optional={"topic_id": _topic, "rating": _ratings, "text": texts}
    ),
    "strategy.delivered": st.fixed_dictionaries(
        {
            "decision_id": st.uuids(version=4).map(str),
            "strategy_label": st.sampled_from(LABELS["intervention_strategy"]),
        }
    ),
    "chat.message": st.fixed_dictionaries(
        {
            "session_id": st.sampled_from(SESSIONS),
            "message_direction": st.sampled_from(("user", "system")),
            "message_text": texts,
        },
        optional={
            "contextual_topic_id": _topic,
            "related_skill": st.sampled_from(SKILLS),
            "hint_used": st.booleans(),
            "feedback_flags": st.lists(
                st.sampled_from(("needs revision", "confusing", "thanks")), max_size=2
            ),
            "confidence": scores,
        },
    ),
    "course.enrolled": st.fixed_dictionaries({}, optional={"previous_attempts": st.integers(0, 3)}),
    "course.completed": st.fixed_dictionaries(
        {"result": st.sampled_from(("distinction", "pass", "fail"))},
        optional={"final_score": scores},
    ),
    "course.withdrawn": st.just({}),
    "label.assigned": st.fixed_dictionaries(
        {
            "tree_id": st.just("primary_classification"),
            "label": st.sampled_from(("Fast Tracker", "Struggling Novice")),
            "assigned_by": st.just("tutor-1"),
        }
    ),
}
"""Per event type, the fields of its own."""

TYPES = tuple(FIELDS)
ANYWHERE = frozenset(("profile.updated", "session.started", "session.ended", "chat.message"))
"""Types that may happen outside any course."""


@st.composite
def event_objects(
    draw: st.DrawFn,
    types: Sequence[str] = TYPES,
    users: Sequence[str] = USERS,
    courses: Sequence[str] = COURSES,
) -> dict[str, Any]:
    """A valid event as a JSON object, ``occurred_at`` in RFC 3339."""
    kind = draw(st.sampled_from(tuple(types)))
    course: Strategy = st.sampled_from(tuple(courses))
    course_id = draw(st.none() | course if kind in ANYWHERE else course)
    at = draw(times)
    return {
        "event_id": str(draw(st.uuids(version=4))),
        "user_id": draw(st.sampled_from(tuple(users))),
        "occurred_at": at.isoformat().replace("+00:00", "Z"),
        "type": kind,
        **({} if course_id is None else {"course_id": course_id}),
        **draw(FIELDS[kind]),
    }


def events(
    types: Sequence[str] = TYPES,
    users: Sequence[str] = USERS,
    courses: Sequence[str] = COURSES,
) -> st.SearchStrategy[LearnerEvent]:
    """A valid event of one of the types."""
    return event_objects(types, users, courses).map(to_event)


def to_event(fields: dict[str, Any]) -> LearnerEvent:
    """The event that a JSON object stands for, read as from a topic."""
    return event_adapter.validate_json(orjson.dumps(fields))


def event(kind: str, at: datetime = START, /, **fields: Any) -> LearnerEvent:
    """One event for a worked example: learner 0, course "algebra", an id made of its content.

    ``course_id=None`` puts it outside any course.
    """
    content = {
        "event_id": "00000000-0000-4000-8000-00000000e000",
        "user_id": USERS[0],
        "course_id": "algebra",
        "occurred_at": at.isoformat().replace("+00:00", "Z"),
        "type": kind,
        **fields,
    }
    return to_event({name: value for name, value in content.items() if value is not None})
