"""Chat records by hand: one learner's session unless said otherwise."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from chat.live_queue import Entry
from schemas.chat import ChatRecord
from schemas.prompt import PromptFigures

USER = "0b5a7c1e-6d0f-4f5e-9a55-0c4d1f7a2b90"
SESSION = "s1"
START = datetime(2026, 3, 1, 10, tzinfo=UTC)


def event_id(name: object) -> str:
    """The same for the same name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"chat {name}"))


def said(offset: int, text: str = "why?", **fields: Any) -> Entry:
    """A learner's message at an offset of ``chat.messages``; its event is ``event_id(offset)``."""
    figures = PromptFigures("algebra", "", None, (), (), None, None, None, "unknown")
    given: dict[str, Any] = {
        "event_id": event_id(offset),
        "user_id": USER,
        "session_id": SESSION,
        "course_id": "algebra",
        "timestamp": START + timedelta(seconds=offset),
        "message_direction": "user",
        "message_text": text,
        "contextual_topic_id": None,
        "related_skill": None,
        "related_objective": None,
        "hint_used": False,
        "feedback_flags": (),
        "searchable_tags": (),
        "responder": "",
        "in_reply_to": None,
        "source": "chat-gateway",
        "traceparent": "00-3f1c0a527d7e4b579a0e0c6a9a4d2b11-9a0e0c6a9a4d2b11-01",
        "labels": {"primary_classification": "Steady Achiever"},
        "decision_ids": {},
        "prompt": "Go on.",
        "prompt_version": "0123456789ab",
        "figures": figures,
        **fields,
    }
    return Entry(offset, ChatRecord(**given))


def answered(offset: int, question: int, text: str = "because", **fields: Any) -> Entry:
    """A tutor's answer to the message at the offset ``question``."""
    return said(
        offset,
        text,
        **{
            "message_direction": "system",
            "responder": "built-in",
            "in_reply_to": event_id(question),
            **fields,
        },
    )
