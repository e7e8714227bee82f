"""`fold_engagement`: the learner in one course, what they do and how well.

Sums, latest-by-time and windows sorted by time, so late events land where they belong. What can
depend on the order of arrival: ``PMI`` where an answer has no confidence of its own and the
topic's is told late; topics, skills and sessions beyond their windows (see `streams.topics`,
`streams.skills`, `streams.sessions`) and confidence older than its window (`streams.confidence`).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from datetime import datetime
from typing import Any

from schemas.engagement import QUIZ_ATTEMPTS_WINDOW, Engagement, QuizAttempt
from schemas.event import (
    ChatMessage,
    ConfidenceReported,
    ContentViewed,
    CourseCompleted,
    CourseEnrolled,
    CourseWithdrawn,
    HintRequested,
    LearnerEvent,
    ModuleCompleted,
    ModuleEntered,
    QuizSubmitted,
    SessionEnded,
    SessionStarted,
    SurveyAnswered,
    TopicChanged,
    TopicFlagged,
)
from schemas.fields import CourseResult
from schemas.profile import Profile
from streams.activity import is_activity
from streams.calibration import count_answer, pmi
from streams.confidence import known_at, report
from streams.flags import REVIEW_FLAGS, flags_of
from streams.format_match import match_formats
from streams.recent import keep_latest
from streams.sessions import ends_of, log_session
from streams.skills import practise
from streams.topics import add_score, flag, grade


def fold_engagement(engagement: Engagement, event: LearnerEvent, profile: Profile) -> Engagement:
    """The engagement after the event, with the profile as it is after it.

    Every event of the course is an activity in it but those of others (`streams.activity`) and
    ``profile.updated``, which concerns no course. These change at most
    ``format_performance_mismatch``, ``strategy.delivered`` its count as well; the same object
    comes back if not even that. What the profile says of comfort is looked up at every event, so a
    course sees a new rating at its next event.
    """
    new = engagement
    if event.type == "strategy.delivered":
        new = copy(engagement)
        new.deliveries += 1
    elif event.type != "profile.updated" and is_activity(event):
        new = copy(engagement)
        at = event.occurred_at
        if new.last_activity_at is None or at > new.last_activity_at:
            new.last_activity_at = at
        if new.first_activity_at is None or at < new.first_activity_at:
            new.first_activity_at = at
        fold = _FOLDS.get(event.type)
        if fold is not None:
            fold(new, event)
    current = new.format_performance_mismatch
    matches = match_formats(new.format_tallies, profile, current)
    if matches is not current:
        if new is engagement:
            new = copy(engagement)
        new.format_performance_mismatch = matches
    return new


# Below, ``draft`` is the fold's own copy: attributes are set, containers replaced.


def _answered(draft: Engagement, event: QuizSubmitted) -> None:
    at, score, topic_id, confidence = (
        event.occurred_at,
        event.score,
        event.topic_id,
        event.confidence,
    )
    draft.attempts += 1
    draft.score_sum += score
    draft.retries += event.retries
    draft.hints += event.hint_used
    draft.time_spent += event.duration
    attempt = QuizAttempt(
        event.question_id,
        score,
        event.skill_tag,
        event.objective_tag,
        event.retries,
        event.hint_used,
        topic_id,
        confidence,
        at,
    )
    draft.quiz_attempts = keep_latest(draft.quiz_attempts, attempt, QUIZ_ATTEMPTS_WINDOW, _order)
    if event.module_id is not None:
        _module(draft, event.module_id, at)
    if topic_id is not None:
        grade(draft, topic_id, score, at)
        if confidence is not None:
            report(draft, topic_id, confidence, at)
        else:
            confidence = known_at(draft, topic_id, at)
    if confidence is not None:
        draft.calibration = count_answer(draft.calibration, confidence, score)
        draft.PMI = pmi(draft.calibration)
    if event.skill_tag is not None:
        practise(draft, event.skill_tag, score, at)
    if (content_format := event.content_format) is not None:
        tally = add_score(draft.format_tallies.get(content_format), score)
        draft.format_tallies = {**draft.format_tallies, content_format: tally}


def _viewed(draft: Engagement, event: ContentViewed) -> None:
    draft.time_spent += event.duration
    if event.module_id is not None:
        _module(draft, event.module_id, event.occurred_at)


def _moved(draft: Engagement, event: ModuleEntered | TopicChanged) -> None:
    if event.module_id is not None:
        _module(draft, event.module_id, event.occurred_at)


def _module(draft: Engagement, module_id: str, at: datetime) -> None:
    """``module_id``: where the learner was seen last; at one instant the larger id."""
    since = draft.module_at
    if since is None or at > since or (at == since and module_id > draft.module_id):
        draft.module_id = module_id
        draft.module_at = at


def _completed_module(draft: Engagement, event: ModuleCompleted) -> None:
    draft.modules_completed += 1


def _hint(draft: Engagement, event: HintRequested) -> None:
    draft.hints += 1


def _confident(draft: Engagement, event: ConfidenceReported) -> None:
    report(draft, event.topic_id, event.confidence, event.occurred_at)


def _flagged(draft: Engagement, event: TopicFlagged) -> None:
    if event.flagged_type in REVIEW_FLAGS:
        flag(draft, event.topic_id, event.occurred_at)


def _surveyed(draft: Engagement, event: SurveyAnswered) -> None:
    for topic_id in event.flagged_topics:
        flag(draft, topic_id, event.occurred_at)
    for topic_id, confidence in event.confidence_by_topic.items():
        report(draft, topic_id, confidence, event.occurred_at)


def _chatted(draft: Engagement, event: ChatMessage) -> None:
    """A message of the learner. A hint counts when it is asked for, not again when it is given."""
    draft.hints += event.hint_used
    topic_id, at = event.contextual_topic_id, event.occurred_at
    if topic_id is None:
        return
    if event.feedback_flags and not REVIEW_FLAGS.isdisjoint(flags_of(event.feedback_flags)):
        flag(draft, topic_id, at)
    if event.confidence is not None:
        report(draft, topic_id, event.confidence, at)


def _session(draft: Engagement, event: SessionStarted | SessionEnded) -> None:
    draft.session_logs, draft.open_sessions = log_session(
        draft.session_logs, draft.open_sessions, ends_of(event)
    )


def _enrolled(draft: Engagement, event: CourseEnrolled) -> None:
    """The first enrolment told stands."""
    if draft.enrolled_at is None or event.occurred_at < draft.enrolled_at:
        draft.enrolled_at = event.occurred_at


def _completed(draft: Engagement, event: CourseCompleted) -> None:
    _result(draft, event.result, event.occurred_at)


def _withdrew(draft: Engagement, event: CourseWithdrawn) -> None:
    _result(draft, "withdrawn", event.occurred_at)


def _result(draft: Engagement, result: CourseResult, at: datetime) -> None:
    """The latest result stands; at one instant the larger word."""
    since, known = draft.result_at, draft.result
    if since is None or known is None or at > since or (at == since and result > known):
        draft.result = result
        draft.result_at = at


def _order(attempt: QuizAttempt) -> tuple[object, ...]:
    return (
        attempt.timestamp,
        attempt.question_id,
        attempt.retries,
        attempt.score,
        attempt.hint_used,
        attempt.topic_id or "",
        attempt.skill_tag or "",
        attempt.objective_tag or "",
        -1.0 if attempt.confidence is None else attempt.confidence,
    )


_FOLDS: dict[str, Callable[[Engagement, Any], None]] = {
    "session.started": _session,
    "session.ended": _session,
    "content.viewed": _viewed,
    "module.entered": _moved,
    "module.completed": _completed_module,
    "quiz.submitted": _answered,
    "hint.requested": _hint,
    "confidence.reported": _confident,
    "topic.flagged": _flagged,
    "topic.changed": _moved,
    "survey.answered": _surveyed,
    "chat.message": _chatted,
    "course.enrolled": _enrolled,
    "course.completed": _completed,
    "course.withdrawn": _withdrew,
}
