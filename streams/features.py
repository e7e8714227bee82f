"""What a tree is asked about: numbers from the three states, after the event was folded.

The meaning of each, its range and its value when nothing is known: ``schemas.feature.FEATURES``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from schemas.behavior import Behavior
from schemas.engagement import Engagement
from schemas.profile import Profile

RECENT_ANSWERS = 5
TREND_ANSWERS = 10
MIN_TREND_ANSWERS = 3
UNKNOWN_SCORE = 0.5
UNKNOWN_GPA = 2.5

_LEVELS = {"basic": 0.0, "intermediate": 1.0, "advanced": 2.0, None: 1.0}
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


def extract(
    profile: Profile,
    behavior: Behavior,
    engagement: Engagement,
    at: datetime,
    previous_at: datetime | None,
) -> tuple[float, ...]:
    """The features in the order of ``FEATURES``, all finite and in their range.

    Args:
        profile, behavior, engagement: the states after the event was folded.
        at: when the event happened. A late event sees the states as they are now, and the time
            since what came after it counts as 0.
        previous_at: the learner's latest activity before the event, ``None`` at the first.
    """
    attempts = engagement.attempts
    per_answer = attempts or 1
    objective = _most(engagement.score_sum / attempts, 1.0) if attempts else UNKNOWN_SCORE
    recent, trend, confidence_gap = _recent(engagement)
    topics, skills = engagement.topic_scores, engagement.skill_scores
    told = engagement.confidence_score_by_topic
    trends = engagement.confidence_score_trends
    matches = engagement.format_performance_mismatch
    since = engagement.enrolled_at or engagement.first_activity_at
    days = (at - since) / _DAY if since is not None and at > since else 0.0
    away = (at - previous_at) / _HOUR if previous_at is not None and at > previous_at else 0.0
    gpa = profile.gpa
    return (
        _most(float(attempts), 1e6),
        objective,
        recent,
        trend,
        min(topics.values()) / 100 if topics else objective,
        float(min(skills.values())) if skills else 10 * objective,
        _most(sum(told.values()) / len(told), 1.0) if told else UNKNOWN_SCORE,
        confidence_gap,
        _clamp(sum([t.trend_value for t in trends]) / len(trends), 1.0) if trends else 0.0,
        _most(engagement.hints / per_answer, 10.0),
        _most(engagement.retries / per_answer, 1000.0),
        _clamp(float(engagement.PMI), 20.0),
        _most(float(len(engagement.redo_topics)), 1000.0),
        float(max([m.comfort - m.performance for m in matches.values()])) if matches else 0.0,
        # The first day counts as a whole one: two answers in a minute are no pace.
        _most(attempts / days if days > 1 else float(attempts), 1e6),
        _most(away, 1e6),
        _most(days, 1e5),
        _most(behavior.retention_span / 60, 1e6),
        float(behavior.exploratory_behavior_score),
        float(behavior.avg_score) if behavior.graded_attempts else UNKNOWN_SCORE,
        _most(float(behavior.total_courses), 1e4),
        UNKNOWN_GPA if gpa is None else float(gpa),
        _LEVELS[profile.learner_level],
        float(profile.courses_completed or 0),
    )


def _recent(engagement: Engagement) -> tuple[float, float, float]:
    """recent_score, score_trend and confidence_gap.

    Trend: the least-squares slope of score over place, Σ(i − ī)·s / Σ(i − ī)², for the latest ten
    answers; Σ(i − ī)² = n(n² − 1)/12. Gap: the bias index of calibration (Schraw 2009), mean of
    confidence − score over those of them of which confidence was told; without one, over the
    topics with both.
    """
    answers = engagement.quiz_attempts[-TREND_ANSWERS:]
    n = len(answers)
    if not n:
        return UNKNOWN_SCORE, 0.0, 0.0
    scores = [a.score for a in answers]
    latest = scores[-RECENT_ANSWERS:]
    trend = 0.0
    if n >= MIN_TREND_ANSWERS:
        moment = 0.0
        place = (1 - n) / 2
        for score in scores:
            moment += place * score
            place += 1
        trend = moment * 12 / (n * (n * n - 1))
    gaps = [a.confidence - a.score for a in answers if a.confidence is not None]
    if not gaps:
        topics = engagement.topic_scores
        gaps = [
            confidence - topics[topic] / 100
            for topic, confidence in engagement.confidence_score_by_topic.items()
            if topic in topics
        ]
    gap = _clamp(sum(gaps) / len(gaps), 1.0) if gaps else 0.0
    return _most(sum(latest) / len(latest), 1.0), trend, gap


# Written out, as min() takes twice the time.


def _most(value: float, most: float) -> float:
    return most if value > most else value


def _clamp(value: float, most: float) -> float:
    return -most if value < -most else most if value > most else value
