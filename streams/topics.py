"""What is known of each topic of a course: scores, flags, and which to go over again.

The ten topics touched latest are kept. Up to there everything folds the same in any order;
beyond, what was counted of a topic before it was forgotten is gone, and a late event on a topic
older than all of them leaves no trace.
In these functions ``draft`` is the fold's own copy: attributes are set, containers replaced.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from schemas.engagement import TOPICS_WINDOW, Engagement, Tally

REDO_BELOW = 0.5
REDO_ANSWERS = 2
MASTERED = 0.7

V = TypeVar("V")


def touch(draft: Engagement, topic_id: str, at: datetime) -> bool:
    """Notes that something was told of a topic; false if the topic is too old to be kept."""
    times = draft.topic_recency
    second = int(at.timestamp())
    if second <= times.get(topic_id, second - 1):
        return True
    draft.topic_recency = times = {**times, topic_id: second}
    if len(times) <= TOPICS_WINDOW:
        return True
    _, oldest = min(zip(times.values(), times, strict=True))
    _forget(draft, oldest)
    return oldest != topic_id


def grade(draft: Engagement, topic_id: str, score: float, at: datetime) -> None:
    """``topic_scores`` = 100 · Σ score / count of the topic's graded answers."""
    if not touch(draft, topic_id, at):
        return
    tally = add_score(draft.topic_tallies.get(topic_id), score)
    draft.topic_tallies = {**draft.topic_tallies, topic_id: tally}
    percentage = 100 * (tally.score_sum / tally.count)
    draft.topic_scores = {**draft.topic_scores, topic_id: percentage}
    _judge(draft, topic_id)


def flag(draft: Engagement, topic_id: str, at: datetime) -> None:
    """Puts a topic among ``flagged_topics``, where it stays until it is forgotten."""
    if touch(draft, topic_id, at) and topic_id not in draft.flagged_topics:
        draft.flagged_topics = tuple(sorted((*draft.flagged_topics, topic_id)))
        _judge(draft, topic_id)


def needs_redo(flagged: bool, tally: Tally | None) -> bool:
    """Is a topic one of ``redo_topics``?

    With at least two graded answers: mean score < 0.5, or < 0.7 if the learner flagged it.
    With fewer: if they flagged it. The marks are ours. A rule of the state alone: a topic does not
    remember having been below, so that the order of events does not matter.
    """
    if tally is None or tally.count < REDO_ANSWERS:
        return flagged
    return tally.score_sum / tally.count < (MASTERED if flagged else REDO_BELOW)


def add_score(tally: Tally | None, score: float) -> Tally:
    return Tally(1, score) if tally is None else Tally(tally.count + 1, tally.score_sum + score)


def without(mapping: dict[str, V], key: str) -> dict[str, V]:
    """A copy without the key; the mapping itself if it has none."""
    if key not in mapping:
        return mapping
    left = mapping.copy()
    del left[key]
    return left


def _judge(draft: Engagement, topic_id: str) -> None:
    redo = draft.redo_topics
    needed = needs_redo(topic_id in draft.flagged_topics, draft.topic_tallies.get(topic_id))
    if needed != (topic_id in redo):
        draft.redo_topics = (
            tuple(sorted((*redo, topic_id))) if needed else tuple(t for t in redo if t != topic_id)
        )


def _forget(draft: Engagement, topic_id: str) -> None:
    draft.topic_recency = without(draft.topic_recency, topic_id)
    draft.topic_tallies = without(draft.topic_tallies, topic_id)
    draft.topic_scores = without(draft.topic_scores, topic_id)
    draft.confidence_score_by_topic = without(draft.confidence_score_by_topic, topic_id)
    draft.confidence_score_trends = tuple(
        trend for trend in draft.confidence_score_trends if trend.topic_id != topic_id
    )
    if topic_id in draft.flagged_topics:
        draft.flagged_topics = tuple(t for t in draft.flagged_topics if t != topic_id)
    if topic_id in draft.redo_topics:
        draft.redo_topics = tuple(t for t in draft.redo_topics if t != topic_id)
