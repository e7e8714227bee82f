"""`fold_behavior`: the learner's habits across courses.

Sums, latest-by-time and windows sorted by time, so late events land where they belong. What can
depend on the order of arrival: a session of which an end comes after several later sessions
(`streams.sessions.remember`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from datetime import datetime
from typing import Any

from schemas.behavior import RECENT_SESSIONS_WINDOW, Behavior, ContentFlag, ModuleVisit
from schemas.event import (
    ChatMessage,
    ContentViewed,
    HintRequested,
    LearnerEvent,
    ModuleEntered,
    QuizSubmitted,
    SessionEnded,
    SessionStarted,
    SurveyAnswered,
    TopicFlagged,
)
from schemas.fields import FlaggedType
from streams.activity import is_activity
from streams.distinct_courses import add_course, count_courses
from streams.flags import flags_of, keep_flags
from streams.navigation import exploratory_score, visit
from streams.sessions import ends_of, remember, seconds

_HOURS = tuple(f"{hour:02}" for hour in range(24))


def fold_behavior(behavior: Behavior, event: LearnerEvent) -> Behavior:
    """The behaviour after the event. What others did (`streams.activity`) is only counted.

    - ``events``: all that were folded, of whatever type
    - ``total_time_spent`` = quiz, video and reading time told (seconds); a session's length is
      not added to it, since it holds the same time
    - ``content_type_engagement``: images count as reading; hints asked for, used in a quiz, or
      asked for in a chat message of the learner (that the tutor then gives one is no second hint)
    - ``retention_span`` = Σ duration / count of the sessions of which both ends are known
    - ``avg_score`` = Σ score / count of graded answers
    - ``dominant_format`` = the format with most time, of equals the first by name
    - ``exploratory_behavior_score``: `streams.navigation.exploratory_score`
    - ``total_courses``: `streams.distinct_courses.count_courses`
    """
    new = copy(behavior)
    new.events += 1
    if not is_activity(event):
        return new
    at = event.occurred_at
    hour = _HOURS[at.hour]
    hours = new.active_time_distribution
    new.active_time_distribution = {**hours, hour: hours.get(hour, 0) + 1}
    if new.last_activity_at is None or at > new.last_activity_at:
        new.last_activity_at = at
        new.last_activity_date = at.date()
    if new.first_activity_at is None or at < new.first_activity_at:
        new.first_activity_at = at
    if event.course_id is not None:
        _course(new, event.course_id, at)
    fold = _FOLDS.get(event.type)
    if fold is not None:
        fold(new, event)
    return new


# Below, ``draft`` is the fold's own copy: attributes are set, containers replaced.


def _course(draft: Behavior, course_id: str, at: datetime) -> None:
    current = draft.course_id
    if course_id != current:
        sketch = add_course(draft.course_sketch, course_id)
        if sketch is not draft.course_sketch:
            draft.course_sketch = sketch
            draft.total_courses = count_courses(sketch)
    since = draft.course_active_at
    if since is None or at > since or (at == since and course_id > current):
        draft.course_id = course_id
        draft.course_active_at = at


def _viewed(draft: Behavior, event: ContentViewed) -> None:
    duration, content_type = event.duration, event.content_type
    if not duration:
        return
    draft.total_time_spent += duration
    kinds = draft.content_type_engagement = copy(draft.content_type_engagement)
    if content_type == "video":
        kinds.video_time += duration
    else:
        kinds.reading_time += duration
    times = draft.format_time
    time = times.get(content_type, 0.0) + duration
    times = draft.format_time = {**times, content_type: time}
    dominant = draft.dominant_format
    # Times only grow, so only the format just seen can overtake.
    if dominant is None or (-time, content_type) < (-times[dominant], dominant):
        draft.dominant_format = content_type


def _answered(draft: Behavior, event: QuizSubmitted) -> None:
    draft.graded_attempts += 1
    draft.score_sum += event.score
    draft.avg_score = draft.score_sum / draft.graded_attempts
    if event.duration or event.hint_used:
        draft.total_time_spent += event.duration
        kinds = draft.content_type_engagement = copy(draft.content_type_engagement)
        kinds.quiz_time += event.duration
        kinds.hint_usage_count += event.hint_used


def _hint(draft: Behavior, event: HintRequested | ChatMessage) -> None:
    kinds = draft.content_type_engagement = copy(draft.content_type_engagement)
    kinds.hint_usage_count += 1


def _entered(draft: Behavior, event: ModuleEntered) -> None:
    index = -1 if event.module_index is None else event.module_index
    entry = ModuleVisit(event.module_id, event.occurred_at, event.course_id, index)
    draft.module_order_log = visit(draft.module_order_log, entry)
    draft.exploratory_behavior_score = exploratory_score(draft.module_order_log)


def _flagged(draft: Behavior, event: TopicFlagged) -> None:
    _flag(draft, (event.topic_id,), (event.flagged_type,), event.occurred_at)


def _surveyed(draft: Behavior, event: SurveyAnswered) -> None:
    """A topic marked in a survey is one that the learner wants to go over again."""
    _flag(draft, event.flagged_topics, ("needs_revision",), event.occurred_at)


def _chatted(draft: Behavior, event: ChatMessage) -> None:
    """A message of the learner: others' are no activity."""
    if event.hint_used:
        _hint(draft, event)
    topic_id = event.contextual_topic_id
    if topic_id is not None and event.feedback_flags:
        _flag(draft, (topic_id,), flags_of(event.feedback_flags), event.occurred_at)


def _flag(
    draft: Behavior, topics: Iterable[str], kinds: Iterable[FlaggedType], at: datetime
) -> None:
    new = [ContentFlag(topic_id, kind, at) for topic_id in topics for kind in kinds]
    if new:
        draft.content_flags = keep_flags(draft.content_flags, new)


def _session(draft: Behavior, event: SessionStarted | SessionEnded) -> None:
    draft.recent_sessions, before, after = remember(
        draft.recent_sessions, ends_of(event), RECENT_SESSIONS_WINDOW
    )
    counted, counts = seconds(before), seconds(after)
    if counted == counts:
        return
    draft.sessions += (counts is not None) - (counted is not None)
    total = draft.session_seconds + (counts or 0.0) - (counted or 0.0)
    # A rounding error may be left over where a session was taken out again.
    draft.session_seconds = max(total, 0.0) if draft.sessions else 0.0
    draft.retention_span = draft.session_seconds / max(draft.sessions, 1)


_FOLDS: dict[str, Callable[[Behavior, Any], None]] = {
    "session.started": _session,
    "session.ended": _session,
    "content.viewed": _viewed,
    "module.entered": _entered,
    "quiz.submitted": _answered,
    "hint.requested": _hint,
    "topic.flagged": _flagged,
    "survey.answered": _surveyed,
    "chat.message": _chatted,
}
