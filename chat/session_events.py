"""The events that a gateway tells of a chat session, each with an id derived from its cause.

Pure. What is sent again by a client that heard no answer, or told by two gateways at once, has the
same ``event_id``, and the worker folds it once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from schemas.chat import ENDED, JOINED, LEFT
from schemas.chat_frames import Answer, Say
from schemas.event import ChatMessage, SessionEnded, SessionStarted
from streams.chat_rules import ChatRules, describe
from streams.derived_id import derived_id
from streams.trace import traceparent_for

SOURCE = "chat-gateway"
GATEWAY = "gateway"
"""The ``responder`` of what a gateway itself says."""
EXPERT = "expert:"
SENT_BEFORE = timedelta(days=1)
SENT_AHEAD = timedelta(minutes=2)
"""How far a sender's clock may be from ours: behind (a message may have waited), and ahead."""


class Session(NamedTuple):
    """``course_id``: the course that it belongs to; ``None``: wherever the learner was last.
    ``trace_id``: the trace of the client's connection, if it told one."""

    user_id: str
    session_id: str
    course_id: str | None = None
    trace_id: str | None = None

    def id_of(self, name: str) -> str:
        """The ``event_id`` of what happens once in a session under this name."""
        return derived_id(self.user_id, f"chat/{self.session_id}/{name}")

    def traceparent(self, event_id: str) -> str:
        """In the client's trace, or in one of the event's own."""
        return traceparent_for(event_id, self.trace_id)


def said(session: Session, frame: Say, rules: ChatRules, at: datetime) -> ChatMessage:
    """A learner's message, described by its words.

    It happened when the sender says, if that may be: repeats are known by the day, and a message
    that is sent again after midnight is still of the day before.
    """
    told = describe(frame.text, frame.topic_id, session.course_id, rules)
    event_id = session.id_of(f"say/{frame.id}")
    return ChatMessage(
        type="chat.message",
        event_id=event_id,
        user_id=session.user_id,
        course_id=session.course_id,
        occurred_at=_said_at(frame.sent_at, at),
        source=SOURCE,
        traceparent=session.traceparent(event_id),
        session_id=session.session_id,
        message_direction="user",
        message_text=frame.text,
        contextual_topic_id=told.contextual_topic_id,
        related_skill=told.related_skill,
        related_objective=told.related_objective,
        hint_used=told.hint_used,
        feedback_flags=told.feedback_flags,
        searchable_tags=told.searchable_tags,
        confidence=told.confidence,
    )


def _said_at(sent_at: datetime | None, at: datetime) -> datetime:
    if sent_at is None or not at - SENT_BEFORE <= sent_at <= at + SENT_AHEAD:
        return at
    return sent_at


def started(session: Session, at: datetime) -> SessionStarted:
    """Told with the first message."""
    return SessionStarted(
        type="session.started",
        event_id=session.id_of("started"),
        user_id=session.user_id,
        course_id=session.course_id,
        occurred_at=at,
        source=SOURCE,
        session_id=session.session_id,
        activity_type="chat",
    )


def ended(session: Session, at: datetime) -> tuple[ChatMessage, SessionEnded]:
    """The learner ends the session: a message that everybody sees, and the end as such."""
    message = _system(session, session.id_of("ended"), "The session has ended.", GATEWAY, at, ENDED)
    end = SessionEnded(
        type="session.ended",
        event_id=session.id_of("session.ended"),
        user_id=session.user_id,
        course_id=session.course_id,
        occurred_at=at,
        source=SOURCE,
        session_id=session.session_id,
        activity_type="chat",
    )
    return message, end


def joined(session: Session, expert: str, after: int, at: datetime) -> ChatMessage:
    """An expert takes the session over; ``after``: the id of its last message until then."""
    event_id = session.id_of(f"joined/{after}/{expert}")
    text = f"{name_of(expert)} has joined and answers from now on."
    return _system(session, event_id, text, expert, at, JOINED)


def left(session: Session, expert: str, joined_id: str, at: datetime) -> ChatMessage:
    """An expert hands the session back that they took with the event ``joined_id``."""
    event_id = derived_id(joined_id, "left")
    text = f"{name_of(expert)} has left. The tutor answers again."
    return _system(session, event_id, text, expert, at, LEFT)


def answered(  # noqa: PLR0913, PLR0917
    session: Session,
    frame: Answer,
    expert: str,
    in_reply_to: str | None,
    rules: ChatRules,
    at: datetime,
) -> ChatMessage:
    """An expert's message."""
    told = describe(frame.text, None, session.course_id, rules, "system")
    event_id = session.id_of(f"answer/{frame.id}/{expert}")
    message = _system(session, event_id, frame.text, expert, at)
    return message.model_copy(
        update={
            "in_reply_to": in_reply_to,
            "contextual_topic_id": told.contextual_topic_id,
            "related_skill": told.related_skill,
            "related_objective": told.related_objective,
            "searchable_tags": told.searchable_tags,
        }
    )


def name_of(expert: str) -> str:
    """What people are shown of a ``responder`` who is an expert."""
    return expert.removeprefix(EXPERT)


def _system(
    session: Session, event_id: str, text: str, responder: str, at: datetime, *flags: str
) -> ChatMessage:
    return ChatMessage(
        type="chat.message",
        event_id=event_id,
        user_id=session.user_id,
        course_id=session.course_id,
        occurred_at=at,
        source=SOURCE,
        traceparent=session.traceparent(event_id),
        session_id=session.session_id,
        message_direction="system",
        message_text=text,
        feedback_flags=flags,
        responder=responder,
    )
