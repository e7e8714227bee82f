"""Table ``behavior[user_id]``: the learner across courses (section 2 of the source)."""

from __future__ import annotations

from datetime import date

from msgspec import field
from pydantic import TypeAdapter

from schemas.contract import Contract
from schemas.fields import (
    ActivityType,
    Count,
    FlaggedType,
    Format,
    Integer,
    Total,
    UnitScore,
    UserId,
    UtcTime,
)

MODULE_ORDER_WINDOW = 10
CONTENT_FLAGS_WINDOW = 5
RECENT_SESSIONS_WINDOW = 2
COURSE_SKETCH_SIZE = 20


class ContentTypeEngagement(Contract):
    """Seconds by kind of work, and how often a hint was used."""

    quiz_time: Total = 0.0
    video_time: Total = 0.0
    reading_time: Total = 0.0
    hint_usage_count: Count = 0


class ModuleVisit(Contract):
    """``module_index``: place in the course's intended order, from 0; -1 when not told."""

    module_id: str
    timestamp: UtcTime
    course_id: str
    module_index: Integer = -1


class ContentFlag(Contract):
    topic_id: str
    flagged_type: FlaggedType
    timestamp: UtcTime


class SessionEnds(Contract):
    """A session as far as it is known: either end may still come, in any order."""

    session_id: str
    start_time: UtcTime | None = None
    end_time: UtcTime | None = None
    activity_type: ActivityType = "mixed"


class Behavior(Contract):
    """One learner's habits across courses, all windows bounded.

    ``course_id`` is the course of the latest activity ("" before the first), which was at
    ``course_active_at``. Times in seconds.
    ``active_time_distribution``: events by UTC hour, keys "00"–"23".
    ``retention_span``: mean length of a finished session, seconds.
    ``exploratory_behavior_score``: 0–1, formula in ``streams.navigation``.
    ``total_courses``, ``avg_score`` (0–1), ``dominant_format``, ``last_activity_date``: the
    source's cross-course summary. ``course_sketch``: `streams.distinct_courses`.
    ``seen_days``: days of which ids are kept (`streams.seen`), in order. ``forgotten_days``: the
    first and the last day after the learner's latest activity of which they were forgotten; ()
    for none.
    ``offset``: source offset last folded in, -1 for none.
    """

    user_id: UserId
    course_id: str = ""
    total_time_spent: Total = 0.0
    content_type_engagement: ContentTypeEngagement = field(default_factory=ContentTypeEngagement)
    module_order_log: tuple[ModuleVisit, ...] = ()
    retention_span: Total = 0.0
    active_time_distribution: dict[str, Count] = field(default_factory=dict)
    exploratory_behavior_score: UnitScore = 0.0
    content_flags: tuple[ContentFlag, ...] = ()
    total_courses: Count = 0
    avg_score: UnitScore = 0.0
    dominant_format: Format | None = None
    last_activity_date: date | None = None

    first_activity_at: UtcTime | None = None
    last_activity_at: UtcTime | None = None
    events: Count = 0
    graded_attempts: Count = 0
    score_sum: Total = 0.0
    format_time: dict[Format, Total] = field(default_factory=dict)
    sessions: Count = 0
    session_seconds: Total = 0.0
    recent_sessions: tuple[SessionEnds, ...] = ()
    course_active_at: UtcTime | None = None
    course_sketch: tuple[Integer, ...] = ()
    seen_days: tuple[Integer, ...] = ()
    forgotten_days: tuple[Integer, ...] = ()
    offset: Integer = -1


behavior_adapter: TypeAdapter[Behavior] = TypeAdapter(Behavior)
