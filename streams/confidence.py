"""How sure the learner says they are of each topic, and how that changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter

from schemas.engagement import CONFIDENCE_WINDOW, ConfidenceReport, ConfidenceTrend, Engagement
from streams.recent import keep_latest
from streams.topics import touch

_TOPIC = attrgetter("topic_id")


def report(draft: Engagement, topic_id: str, confidence: float, at: datetime) -> None:
    """Folds one telling of confidence (0–1). ``draft`` is the fold's own copy.

    ``confidence_score_by_topic`` is the latest told by time. ``confidence_score_trends`` are of
    the latest six reports of the course. A late report older than these changes neither, unless
    nothing had been told of the topic.
    """
    if not touch(draft, topic_id, at):
        return
    before = draft.confidence_reports
    told = ConfidenceReport(topic_id, confidence, at)
    reports = draft.confidence_reports = keep_latest(before, told, CONFIDENCE_WINDOW, _order)
    by_topic = draft.confidence_score_by_topic
    for latest in reversed(reports):
        if latest.topic_id == topic_id:
            draft.confidence_score_by_topic = {**by_topic, topic_id: latest.confidence}
            break
    else:
        if topic_id not in by_topic:
            draft.confidence_score_by_topic = {**by_topic, topic_id: confidence}
    full = len(before) == CONFIDENCE_WINDOW
    _retrend(draft, {topic_id, before[0].topic_id} if full else {topic_id})


def slope(values: Sequence[float]) -> float:
    """Least-squares slope of values over their place 0, 1, …: change per step; 0 for fewer than 2.

    Σ(i − ī)·v / Σ(i − ī)², where Σ(i − ī)² = n(n² − 1)/12. For values 0–1 it is between −1 and 1.
    """
    n = len(values)
    if n < 3:
        return values[1] - values[0] if n == 2 else 0.0
    moment = 0.0
    place = -(n - 1) / 2
    for value in values:
        moment += place * value
        place += 1
    return max(-1.0, min(1.0, moment * 12 / (n * (n * n - 1))))


def known_at(engagement: Engagement, topic_id: str, at: datetime) -> float | None:
    """The latest confidence told of a topic by then, as far as is known; ``None`` without any."""
    later = False
    for told in reversed(engagement.confidence_reports):
        if told.topic_id == topic_id:
            if told.timestamp <= at:
                return told.confidence
            later = True
    return None if later else engagement.confidence_score_by_topic.get(topic_id)


def _retrend(draft: Engagement, topics: set[str]) -> None:
    reports = draft.confidence_reports
    trends = [t for t in draft.confidence_score_trends if t.topic_id not in topics]
    for topic_id in topics:
        values = [r.confidence for r in reports if r.topic_id == topic_id]
        if len(values) > 1 and topic_id in draft.topic_recency:
            trends.append(ConfidenceTrend(topic_id, slope(values)))
    trends.sort(key=_TOPIC)
    draft.confidence_score_trends = tuple(trends)


def _order(told: ConfidenceReport) -> tuple[datetime, str, float]:
    return told.timestamp, told.topic_id, told.confidence
