"""What the questions are answered with: the same shapes from every store that can answer."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple

from schemas.decision import Decision
from schemas.delivery import Delivery

FALLING = -0.02
"""Mean change of confidence per report at or below which confidence counts as falling."""

HOLDS = 0.05
"""Scores hold as long as the recent mean lies no more than this below the mean of all."""


class JourneyStep(NamedTuple):
    """One event of a learner in a course; what the event does not tell is ``None``.

    ``duration`` in seconds, ``score`` 0–1.
    """

    occurred_at: datetime
    type: str
    module_id: str | None
    topic_id: str | None
    question_id: str | None
    content_id: str | None
    score: float | None
    duration: float | None


class DailyActivity(NamedTuple):
    """One UTC day of a learner in one course ("" for outside any).

    ``seconds``: the sum of the events' durations. ``answers``: graded ones, with their
    ``mean_score`` (0–1, ``None`` without any).
    """

    day: date
    course_id: str
    events: int
    seconds: float
    answers: int
    mean_score: float | None


class SkillProgress(NamedTuple):
    """A learner's graded answers under one skill in one ISO week, over all courses.

    ``week``: its Monday. ``mean_score`` 0–1.
    """

    week: date
    skill_tag: str
    answers: int
    mean_score: float


class WatchedThen(NamedTuple):
    """A learner who viewed the content, and the first thing of the wanted kind they did after it.

    ``watched_at``: the first viewing; ``then_at``: the first such event strictly later.
    """

    user_id: str
    watched_at: datetime
    then_at: datetime


class FallingConfidence(NamedTuple):
    """A learner in a course whose confidence falls while scores hold.

    ``confidence_trend``: mean of ``confidence_score_trends`` (per report), at most `FALLING`.
    ``recent_score``: mean of the ``quiz_attempts`` kept; ``objective_score``: of all graded
    answers; the first is at least the second less `HOLDS`. Both 0–1, and there is an attempt.
    """

    user_id: str
    course_id: str
    confidence_trend: float
    recent_score: float
    objective_score: float


class LabelsGiven(NamedTuple):
    """How many decisions gave a label on one UTC day."""

    day: date
    tree_id: str
    decision_label: str
    decisions: int


class ThresholdInForce(NamedTuple):
    """One rule of a version: ``feature`` against ``threshold``, and who made the version why."""

    tree_id: str
    version: int
    author: str
    reason: str
    created_at: datetime
    rule_id: str
    feature: str
    threshold: float


class TraceAnswer(NamedTuple):
    """All that came of one event: its decisions, and every attempt to deliver them.

    ``trace_id``: 32 hex digits. ``decisions`` by tree; ``deliveries`` in the order in which they
    were sent, each with the status that was told last. Both are empty if nothing is known of it.
    """

    trace_id: str
    decisions: list[Decision]
    deliveries: list[Delivery]


class SessionSummary(NamedTuple):
    """A learner's chat session, as it is when it is asked for.

    ``state``: ``ended``, ``quiet`` (no message for 30 minutes) or ``open``. ``outcome``:
    ``answered``; ``with_expert``, answered and a person took part; ``waiting`` or, once it is no
    longer open, ``unanswered``: nobody answered the learner's last message; ``no_question``: the
    learner wrote none. ``duration_seconds``: from the first message to the last. ``turns``: the
    learner's messages; ``answers``: the tutor's; ``hints``: how often one was asked for.
    ``label_changes`` and ``strategy_changes``: how often it became another from ``first_…`` to
    ``last_…``.
    """

    session_id: str
    course_id: str
    state: str
    outcome: str
    started_at: datetime
    last_message_at: datetime
    ended_at: datetime | None
    duration_seconds: float
    messages: int
    turns: int
    answers: int
    hints: int
    topics: tuple[str, ...]
    skills: tuple[str, ...]
    feedback_flags: tuple[str, ...]
    responders: tuple[str, ...]
    first_label: str | None
    last_label: str | None
    label_changes: int
    first_strategy: str | None
    last_strategy: str | None
    strategy_changes: int


class FoundMessage(NamedTuple):
    """A chat message that was looked for. ``text``: where it fits best, at most some 300
    characters, what was looked for between ``**``; all of it where no words were asked for.

    ``label``, ``strategy``: in force once the message was folded; ``decision_id``: of the strategy.
    """

    timestamp: datetime
    user_id: str
    session_id: str
    course_id: str
    topic_id: str | None
    message_direction: str
    responder: str
    text: str
    feedback_flags: tuple[str, ...]
    label: str
    strategy: str
    decision_id: str
