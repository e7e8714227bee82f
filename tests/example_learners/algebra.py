"""One learner in one course, by hand: times count in days from 1 March 2026, 10:00 UTC."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.engagement import Engagement, QuizAttempt
from schemas.event import LearnerEvent, event_adapter
from schemas.feature import FEATURE_NAMES, FEATURES
from schemas.profile import Profile

USER = "0b5a7c1e-6d0f-4f5e-9a55-0c4d1f7a2b90"
PROFILE = Profile(USER)
COURSE = "algebra"
START = datetime(2026, 3, 1, 10, tzinfo=UTC)


def day(days: float) -> datetime:
    return START + timedelta(days=days)


def event(kind: str, days: float = 0.0, **fields: Any) -> LearnerEvent:
    """An event of the course; its id is derived from what it is, so equal calls are repeats."""
    name = f"{kind} {days} {sorted(fields.items())}"
    given = {
        "event_id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "user_id": USER,
        "course_id": COURSE,
        "occurred_at": day(days),
        "type": kind,
        **fields,
    }
    return event_adapter.validate_python(given)


def quiz(score: float, days: float = 0.0, **fields: Any) -> LearnerEvent:
    return event("quiz.submitted", days, score=score, question_id="q", **fields)


def answer(score: float, days: float = 0.0, confidence: float | None = None) -> QuizAttempt:
    return QuizAttempt("q", score, None, None, 0, False, "t", confidence, day(days))


def engagement(**fields: Any) -> Engagement:
    return Engagement(USER, COURSE, **fields)


def features(**values: float) -> tuple[float, ...]:
    """Features by name, the others as for somebody of whom nothing is known."""
    unknown = {
        "objective_score": 0.5,
        "recent_score": 0.5,
        "weakest_topic_score": 0.5,
        "weakest_skill_score": 5.0,
        "confidence_score": 0.5,
        "avg_score": 0.5,
        "gpa": 2.5,
        "learner_level": 1.0,
    }
    assert set(values) <= set(FEATURE_NAMES)
    for feature in FEATURES:
        assert feature.low <= values.get(feature.name, feature.low) <= feature.high
    return tuple(float({**unknown, **values}.get(name, 0.0)) for name in FEATURE_NAMES)
