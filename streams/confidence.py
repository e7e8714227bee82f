"""How sure the learner says they are of each topic, and how that changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from schemas.engagement import CONFIDENCE_WINDOW, ConfidenceReport, ConfidenceTrend, Engagement
from streams.recent import keep_latest
from streams.topics import touch


def report(draft: Engagement, topic_id: str, confidence: float, at: datetime) -> None:
    """Folds one telling of confidence (0–1). ``draft`` is the fold's own copy.

    ``confidence_score_by_topic`` is the latest told by time. ``confidence_score_trends`` are of
    the latest ten reports of the course. A late report older than these changes neither, unless
    nothing had been told of the topic.
    """
    if not touch(draft, topic_id, at):
        return
    before = draft.confidence_reports
    told = ConfidenceReport(topic_id, confidence, at)
    reports = draft.confidence_reports = keep_latest(before, told, CONFIDENCE_WINDOW, _order)
    by_topic = draft.confidence_score_by_topic
    latest = next((r for r in reversed(reports) if r.topic_id == topic_id), None)
    if latest is not None:
        draft.confidence_score_by_topic = {**by_topic, topic_id: latest.confidence}
    elif topic_id not in by_topic:
        draft.confidence_score_by_topic = {**by_topic, topic_id: confidence}
    _retrend(draft, topic_id)
    if len(before) == CONFIDENCE_WINDOW and before[0].topic_id != topic_id:
        _retrend(draft, before[0].topic_id)


def slope(values: Sequence[float]) -> float:
    """Least-squares slope of values over their place 0, 1, …: change per step; 0 for fewer than 2.

    Σ(i − ī)·v / Σ(i − ī)², where Σ(i − ī)² = n(n² − 1)/12. For values 0–1 it is between −1 and 1.
    """
    n = len(values)
    if n < 2:
        return 0.0
    middle = (n - 1) / 2
    moment = sum([(i - middle) * value for i, value in enumerate(values)])
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


def _retrend(draft: Engagement, topic_id: str) -> None:
    values = [r.confidence for r in draft.confidence_reports if r.topic_id == topic_id]
    trends = [t for t in draft.confidence_score_trends if t.topic_id != topic_id]
    if len(values) > 1 and topic_id in draft.topic_last_at:
        trends.append(ConfidenceTrend(topic_id, slope(values)))
        trends.sort(key=_topic)
    draft.confidence_score_trends = tuple(trends)


def _order(told: ConfidenceReport) -> tuple[datetime, str, float]:
    return told.timestamp, told.topic_id, told.confidence


def _topic(trend: ConfidenceTrend) -> str:
    return trend.topic_id
