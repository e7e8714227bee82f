"""What a prompt may say of a learner: figures from the states, after the event was folded."""

from __future__ import annotations

from schemas.engagement import Engagement
from schemas.event import LearnerEvent
from schemas.fields import Format
from schemas.profile import Profile
from schemas.prompt import WEAKEST_TOPICS, PromptFigures, TopicFigure
from streams.features import RECENT_ANSWERS


def prompt_figures(profile: Profile, engagement: Engagement, event: LearnerEvent) -> PromptFigures:
    """The figures for the prompts of one event.

    ``topic_id``: the topic that the event names, "" without one. ``performance``: mean score of
    the latest five graded answers; ``confidence``: mean of those told with them, else of the
    latest told by topic.
    """
    answers = engagement.quiz_attempts[-RECENT_ANSWERS:]
    scores = [answer.score for answer in answers]
    told = [answer.confidence for answer in answers if answer.confidence is not None]
    if not told:
        told = list(engagement.confidence_score_by_topic.values())
    weakest = sorted((score, topic) for topic, score in engagement.topic_scores.items())
    return PromptFigures(
        engagement.course_id,
        topic_of(event) or "",
        profile.learner_level,
        tuple([TopicFigure(topic, score) for score, topic in weakest[:WEAKEST_TOPICS]]),
        engagement.redo_topics[:WEAKEST_TOPICS],
        _mean(told),
        _mean(scores),
        _best_format(engagement) or profile.format_preference,
        profile.writing_style_category,
    )


def topic_of(event: LearnerEvent) -> str | None:
    """The topic that an event is about, if it names one."""
    if event.type == "chat.message":
        return event.contextual_topic_id
    topic: str | None = getattr(event, "topic_id", None)
    return topic


def _mean(values: list[float]) -> float | None:
    return min(sum(values) / len(values), 1.0) if values else None


def _best_format(engagement: Engagement) -> Format | None:
    """The format with the highest mean score of the answers taught in it; of equals the first."""
    means = [
        (-tally.score_sum / tally.count, name)
        for name, tally in engagement.format_tallies.items()
        if tally.count
    ]
    return min(means)[1] if means else None
