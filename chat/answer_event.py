"""An answer as the event that it goes out as; pure."""

from __future__ import annotations

from datetime import datetime

from chat.responder import Draft
from schemas.chat import ChatRecord
from schemas.event import ChatMessage
from streams.chat_rules import ChatRules, describe
from streams.derived_id import derived_id

SOURCE = "responder"


def answer_event(record: ChatRecord, draft: Draft, rules: ChatRules, now: datetime) -> ChatMessage:
    """The answer as an event; told never earlier than the message, whatever the clocks say."""
    topic, course = record.contextual_topic_id, record.course_id or None
    told = describe(draft.text, topic, course, rules, "system")
    return ChatMessage(
        type="chat.message",
        event_id=derived_id(record.event_id, "answer"),
        user_id=record.user_id,
        course_id=course,
        occurred_at=max(now, record.timestamp),
        source=SOURCE,
        traceparent=record.traceparent,
        session_id=record.session_id,
        message_direction="system",
        message_text=draft.text,
        contextual_topic_id=topic,
        related_skill=told.related_skill or record.related_skill,
        related_objective=told.related_objective or record.related_objective,
        hint_used=draft.start.hint_used,
        searchable_tags=told.searchable_tags,
        responder=draft.start.responder,
        in_reply_to=record.event_id,
    )
