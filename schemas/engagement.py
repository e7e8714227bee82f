"""Table ``engagement[user_id, course_id]``: the learner in one course (section 3 of the source)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field
from pydantic import Field, TypeAdapter

from schemas.behavior import SessionEnds
from schemas.contract import Contract
from schemas.fields import (
    ActivityType,
    Count,
    CourseResult,
    Format,
    Integer,
    Percentage,
    Total,
    UnitScore,
    UserId,
    UtcTime,
)

QUIZ_ATTEMPTS_WINDOW = 8
SESSION_LOGS_WINDOW = 3
OPEN_SESSIONS_WINDOW = 2
CONFIDENCE_WINDOW = 6
TOPICS_WINDOW = 10
SKILLS_WINDOW = 6
PENDING_WINDOW = 2


class QuizAttempt(Contract):
    question_id: str
    score: UnitScore
    skill_tag: str | None
    objective_tag: str | None
    retries: Count
    hint_used: bool
    topic_id: str | None
    confidence: UnitScore | None
    timestamp: UtcTime


class ConfidenceReport(Contract):
    topic_id: str
    confidence: UnitScore
    timestamp: UtcTime


class ConfidenceTrend(Contract):
    """``trend_value``: change of confidence per report, -1 to 1; formula in the fold."""

    topic_id: str
    trend_value: Annotated[float, Field(ge=-1, le=1), Meta(ge=-1, le=1)]


class SessionLog(Contract):
    """``duration`` in seconds."""

    session_id: str
    start_time: UtcTime
    end_time: UtcTime
    duration: Total
    activity_type: ActivityType


class FormatMatch(Contract):
    """Comfort told and performance shown with one format, both on the scale 1–5."""

    comfort: Annotated[float, Field(ge=1, le=5), Meta(ge=1, le=5)]
    performance: Annotated[float, Field(ge=1, le=5), Meta(ge=1, le=5)]


class Tally(Contract):
    """Graded answers under one topic, skill or format: ``score_sum`` over ``count`` of them."""

    count: Count
    score_sum: Total


class CalibrationCounts(Contract):
    """Graded answers by confidence (≥ 0.5) and correctness (≥ 0.5): the 2×2 table behind PMI."""

    confident_correct: Count = 0
    confident_wrong: Count = 0
    doubtful_correct: Count = 0
    doubtful_wrong: Count = 0


class PendingExample(Contract):
    """What was known at a decision, waiting for what happened next.

    ``features``: values in the order of ``schemas.feature.FEATURES``. ``strategy`` is the one
    chosen then, ``delivered`` whether it reached the learner's tutor, ``score_before`` the recent
    mean score (0–1). The outcome so far: sums over the
    graded answers since.
    """

    event_id: str
    opened_at: UtcTime
    features: tuple[float, ...]
    label: str
    strategy: str
    score_before: UnitScore
    attempts: Count = 0
    score_sum: Total = 0.0
    confidence_gap_sum: float = 0.0
    confidence_count: Count = 0
    retries: Count = 0
    hints: Count = 0
    delivered: bool = False


class Engagement(Contract):
    """One learner in one course; ``course_id`` "" holds what happens outside any course.

    ``confidence_score_by_topic``: latest told, 0–1. ``topic_scores``: percentage, 0–100.
    ``skill_scores``: 0–10. ``PMI``: bits. ``redo_topics``, ``flagged_topics``: topic ids.
    Formulas stand in the folds (``streams.engagement`` and beside it).
    ``module_at``: when the learner was last seen in ``module_id``. ``topic_recency`` and
    ``skill_recency``: Unix second of the latest event that told something of the topic or skill;
    what was touched least recently is forgotten first, with all that stands here of it.
    ``labels`` holds the label last given by each tree, ``decision_ids`` the decision last sent.
    ``deliveries``: strategies that the query-strategy service has taken.
    ``offset``: source offset last folded in.
    """

    user_id: UserId
    course_id: str
    module_id: str = ""
    quiz_attempts: tuple[QuizAttempt, ...] = ()
    confidence_score_by_topic: dict[str, UnitScore] = field(default_factory=dict)
    confidence_score_trends: tuple[ConfidenceTrend, ...] = ()
    redo_topics: tuple[str, ...] = ()
    topic_scores: dict[str, Percentage] = field(default_factory=dict)
    PMI: float = 0.0
    skill_scores: dict[str, Annotated[float, Field(ge=0, le=10), Meta(ge=0, le=10)]] = field(
        default_factory=dict
    )
    flagged_topics: tuple[str, ...] = ()
    session_logs: tuple[SessionLog, ...] = ()
    format_performance_mismatch: dict[Format, FormatMatch] = field(default_factory=dict)

    module_at: UtcTime | None = None
    confidence_reports: tuple[ConfidenceReport, ...] = ()
    topic_recency: dict[str, Integer] = field(default_factory=dict)
    topic_tallies: dict[str, Tally] = field(default_factory=dict)
    skill_tallies: dict[str, Tally] = field(default_factory=dict)
    skill_recency: dict[str, Integer] = field(default_factory=dict)
    format_tallies: dict[Format, Tally] = field(default_factory=dict)
    calibration: CalibrationCounts = field(default_factory=CalibrationCounts)
    open_sessions: tuple[SessionEnds, ...] = ()
    attempts: Count = 0
    score_sum: Total = 0.0
    retries: Count = 0
    hints: Count = 0
    modules_completed: Count = 0
    time_spent: Total = 0.0
    enrolled_at: UtcTime | None = None
    first_activity_at: UtcTime | None = None
    last_activity_at: UtcTime | None = None
    result: CourseResult | None = None
    result_at: UtcTime | None = None
    labels: dict[str, str] = field(default_factory=dict)
    decision_ids: dict[str, str] = field(default_factory=dict)
    deliveries: Count = 0
    pending: tuple[PendingExample, ...] = ()
    offset: Integer = -1


engagement_adapter: TypeAdapter[Engagement] = TypeAdapter(Engagement)
