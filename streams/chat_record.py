"""A folded chat message with what was decided of the learner at that moment."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.chat import ChatRecord
from schemas.engagement import Engagement
from schemas.event import LearnerEvent
from schemas.fields import TreeId
from schemas.profile import Profile
from streams.figures import prompt_figures
from streams.rules import Rules
from streams.scoring import CompiledTree, score
from streams.trace import traceparent_of


def chat_record(  # noqa: PLR0913, PLR0917
    event: LearnerEvent,
    profile: Profile,
    engagement: Engagement,
    features: tuple[float, ...],
    trees: Mapping[TreeId, CompiledTree],
    rules: Rules,
) -> ChatRecord | None:
    """The record for ``chat.messages``, ``None`` for an event that is no chat message.

    The states are those after the message was folded and decided upon, so the prompt is that of
    the strategy now in force, with the figures of now.
    """
    if event.type != "chat.message":
        return None
    figures = prompt_figures(profile, engagement, event)
    strategy = score(trees["intervention_strategy"], features)
    because = strategy.sentence(features)
    prompts = rules.prompts
    words = prompts.words(figures)
    return ChatRecord(
        event_id=event.event_id,
        user_id=event.user_id,
        session_id=event.session_id,
        course_id=engagement.course_id,
        timestamp=event.occurred_at,
        message_direction=event.message_direction,
        message_text=event.message_text,
        contextual_topic_id=event.contextual_topic_id,
        related_skill=event.related_skill,
        related_objective=event.related_objective,
        hint_used=event.hint_used,
        feedback_flags=event.feedback_flags,
        searchable_tags=event.searchable_tags,
        responder=event.responder or "",
        in_reply_to=event.in_reply_to,
        source=event.source,
        traceparent=traceparent_of(event),
        labels=engagement.labels,
        decision_ids=engagement.decision_ids,
        prompt=prompts.fill("intervention_strategy", strategy.label, words, because),
        prompt_version=prompts.version,
        figures=figures,
    )
