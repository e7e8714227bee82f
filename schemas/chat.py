"""A chat message after the worker folded it (section 4 of the source), on ``chat.messages``.

Each message once, in the order of its partition; with it stands what was decided of the learner at
that moment, so whoever answers needs no other store.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, TypeAdapter

from schemas.contract import Contract
from schemas.fields import MessageDirection, UserId, UtcTime, Uuid
from schemas.prompt import PromptFigures

JOINED = "expert_joined"
LEFT = "expert_left"
ENDED = "session_ended"
"""``feedback_flags`` of ``system`` messages that change who answers, or end the session."""

Tags = Annotated[tuple[str, ...], Field(max_length=32)]


class ChatRecord(Contract):
    """``event_id``, ``timestamp`` and the message are those of the ``chat.message`` event.

    ``responder``: "" for the learner's own. ``in_reply_to``: the answered message's ``event_id``.
    ``labels``, ``decision_ids``: by tree, in force once this message was folded. ``prompt`` is
    the strategy's, filled with ``figures``.
    """

    event_id: Uuid
    user_id: UserId
    session_id: str
    course_id: str
    timestamp: UtcTime
    message_direction: MessageDirection
    message_text: str
    contextual_topic_id: str | None
    related_skill: str | None
    related_objective: str | None
    hint_used: bool
    feedback_flags: Tags
    searchable_tags: Tags
    responder: str
    in_reply_to: Uuid | None
    source: str
    traceparent: str
    labels: dict[str, str]
    decision_ids: dict[str, str]
    prompt: str
    prompt_version: str
    figures: PromptFigures


chat_adapter: TypeAdapter[ChatRecord] = TypeAdapter(ChatRecord)
