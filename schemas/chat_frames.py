"""Frames of the chat WebSocket, both ways: one JSON object each, chosen by ``type``.

A learner's connection is one session of theirs; an expert's names the session in each frame.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from schemas.fields import Count, Identifier, Integer, MessageDirection, UserId, UtcTime, Uuid

ClientId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""The sender's own name of a message: sent again with the same one, it is the same message."""

SessionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
MessageText = Annotated[str, StringConstraints(min_length=1, max_length=8000)]


class _Frame(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Say(_Frame):
    """A learner's message. ``topic_id``: what is on the learner's screen. ``sent_at``: when it was
    said, the same when it is sent again; see `chat.session_events.said`."""

    type: Literal["say"]
    id: ClientId
    text: MessageText
    topic_id: Identifier | None = None
    sent_at: UtcTime | None = None


class End(_Frame):
    """The learner ends the session."""

    type: Literal["end"]


class Ping(_Frame):
    type: Literal["ping"]


class Watch(_Frame):
    """An expert wants a session's messages from ``after`` (an id seen before) on."""

    type: Literal["watch"]
    user_id: UserId
    session_id: SessionId
    after: Annotated[Integer, Field(ge=-1)] = -1


class Take(_Frame):
    """An expert answers from now on, in place of the responder."""

    type: Literal["take"]
    user_id: UserId
    session_id: SessionId


class HandBack(_Frame):
    """The responder answers again."""

    type: Literal["hand_back"]
    user_id: UserId
    session_id: SessionId


class Answer(_Frame):
    """An expert's message to a session that they have taken."""

    type: Literal["answer"]
    id: ClientId
    user_id: UserId
    session_id: SessionId
    text: MessageText


class ListSessions(_Frame):
    """An expert asks which sessions are open."""

    type: Literal["sessions"]


LearnerFrame = Annotated[Say | End | Ping, Field(discriminator="type")]
ExpertFrame = Annotated[
    Watch | Take | HandBack | Answer | ListSessions | Ping, Field(discriminator="type")
]
learner_frames: TypeAdapter[LearnerFrame] = TypeAdapter(LearnerFrame)
expert_frames: TypeAdapter[ExpertFrame] = TypeAdapter(ExpertFrame)


class Welcome(_Frame):
    """The first frame. ``heartbeat_seconds``: how often the gateway pings."""

    type: Literal["welcome"] = "welcome"
    session_id: str
    heartbeat_seconds: float
    max_text: int = 8000


class Accepted(_Frame):
    """The message of this ``id`` is on Kafka: it will not be lost, and need not be sent again."""

    type: Literal["accepted"] = "accepted"
    id: str
    event_id: Uuid


class Message(_Frame):
    """A message of the session, whoever wrote it. ``id`` grows; ask for what is after it."""

    type: Literal["message"] = "message"
    id: Count
    event_id: Uuid
    user_id: UserId
    session_id: str
    message_direction: MessageDirection
    message_text: str
    responder: str
    in_reply_to: Uuid | None
    feedback_flags: tuple[str, ...]
    timestamp: UtcTime


class Token(_Frame):
    """A piece of an answer that is being written; ``position`` counts characters before it.

    ``restart``: what was shown of this answer before is void. The `Message` that ends it counts.
    """

    type: Literal["token"] = "token"
    user_id: UserId
    session_id: str
    in_reply_to: Uuid
    position: Count
    text: str
    restart: bool = False


class Notice(_Frame):
    """Something the person should know, in words to show them (``code`` for programs)."""

    type: Literal["notice"] = "notice"
    code: Literal["llm_away", "budget_spent", "older_messages_elsewhere", "answers_delayed"]
    text: str


class Refused(_Frame):
    """A frame that was not taken: why. ``id``: the message's, if it had one."""

    type: Literal["refused"] = "refused"
    code: Literal[
        "invalid_frame", "too_fast", "too_large", "not_yours", "not_taken", "not_accepted", "ended"
    ]
    text: str
    id: str | None = None


class Pong(_Frame):
    type: Literal["pong"] = "pong"


class OpenSession(_Frame):
    """A line in an expert's list. ``waiting``: the last word was the learner's."""

    user_id: UserId
    session_id: str
    last_message_at: UtcTime
    label: str
    owner: str
    waiting: bool


class Sessions(_Frame):
    type: Literal["sessions"] = "sessions"
    sessions: tuple[OpenSession, ...]


GatewayFrame = Annotated[
    Welcome | Accepted | Message | Token | Notice | Refused | Pong | Sessions,
    Field(discriminator="type"),
]
gateway_frames: TypeAdapter[GatewayFrame] = TypeAdapter(GatewayFrame)
