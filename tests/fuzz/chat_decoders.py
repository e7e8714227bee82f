"""Decoders of the chat: frames both ways, tokens, what a connection asks for, an LLM's stream."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast

import jwt
import orjson
from pydantic import BaseModel, TypeAdapter

from agents.metrics_chat import GatewayMetrics
from chat.admission import Asked, Caller, NotAdmitted, admit
from chat.connection import Connection, Ending
from chat.frame_loop import FrameLoop, FrameRates
from chat.live_queue import session_name
from chat.llm_failure import LlmFailed
from chat.llm_sse import MAX_EVENT_BYTES, MAX_LINE_BYTES, Chunk, EventReader, chunk_of
from chat.rooms import live_frame
from chat.session_events import Session, said
from chat.terminal import TerminalChat, frame_in, printable
from chat.tokens import ALGORITHM, AUDIENCE, ChatToken, claimed_user, sign_token, verify_token
from config.chat_rules import load_chat_rules
from config.settings import ChatSettings
from fuzz.decoder import ContractBroken, Decoder
from schemas.chat_frames import (
    Accepted,
    GatewayFrame,
    Message,
    OpenSession,
    Refused,
    Say,
    Sessions,
    Welcome,
    expert_frames,
    gateway_frames,
    learner_frames,
)
from schemas.errors import TokenRefused
from schemas.event import event_adapter
from streams.chat_rules import ChatRules

NOW = datetime(2026, 2, 1, tzinfo=UTC)
SECRET = "a secret of thirty-two characters"  # noqa: S105  # of the tests
USER = "5f0e6c3a-1b7d-4c58-8f5e-2d9a7b1c4e60"
HOST = "chat.school.org"
_TOKEN = sign_token(SECRET, USER, "learner", NOW, 3600, "Ada", "algebra-1")
_SESSION = Session(USER, "s-1", "algebra-1", None)


class _HeardConnection:
    """A connection that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[BaseModel] = []
        self.ending: Ending | None = None

    def tell(self, frame: BaseModel) -> None:
        if len(frame.model_dump_json()) > 2_000:
            raise ContractBroken(f"a frame is refused with {len(frame.model_dump_json())} bytes")
        self.told.append(gateway_frames.validate_json(frame.model_dump_json()))

    def send(self, frame: bytes) -> None:
        gateway_frames.validate_json(frame)

    def close(self, ending: Ending) -> None:
        self.ending = ending


@cache
def _metrics() -> GatewayMetrics:
    return GatewayMetrics()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@cache
def _rules() -> ChatRules:
    return ChatRules(load_chat_rules())


def _taken_by(frames: TypeAdapter[Any], raw: bytes) -> Any:
    """The frame as the gateway's loop takes it; ``None`` if the loop refused or answered it."""

    async def take_one() -> Any:
        taken: list[Any] = []

        async def take(frame: Any) -> None:
            taken.append(frame)

        connection = _HeardConnection()
        rates = FrameRates(ChatSettings(), most=1)
        loop = FrameLoop(cast(Connection, connection), USER, rates, _metrics(), frames, take)
        await loop._take_raw(raw)
        return taken[0] if taken else None

    return _loop().run_until_complete(take_one())


def _written(frame: BaseModel) -> bytes:
    return frame.model_dump_json().encode()


def _learner_frame(raw: bytes) -> Any:
    frame = _taken_by(learner_frames, raw)
    if isinstance(frame, Say):
        event = said(_SESSION, frame, _rules(), NOW)
        if event_adapter.validate_json(event_adapter.dump_json(event)) != event:
            raise ContractBroken(f"the worker would read another event than {event!r}")
    return frame


def _expert_frame(raw: bytes) -> Any:
    return _taken_by(expert_frames, raw)


def _live_frame(raw: bytes) -> GatewayFrame | None:
    """What Redis shows of an answer under way."""
    return live_frame(raw, session_name(USER, "s-1"))


def _seen(token: str) -> ChatToken:
    who = verify_token(SECRET, token, NOW)
    if claimed_user(token) != who.user_id:
        raise ContractBroken(f"{token} is for two users")
    return who


def _token(raw: bytes) -> ChatToken:
    """Whoever holds a token may have found it anywhere: any text."""
    token = raw.decode(errors="surrogateescape")
    try:
        return _seen(token)
    except TokenRefused:
        claimed_user(token)  # refuses likewise, or believes it
        raise


def _signed_claims(raw: bytes) -> ChatToken:
    """Any claims that somebody with our secret signed: the LMS, or another program of theirs."""
    header = {"typ": "JWT", "alg": ALGORITHM}
    return _seen(jwt.api_jws.encode(raw, SECRET, ALGORITHM, header))


def _signed_again(who: ChatToken) -> bytes:
    claims = {
        "sub": who.user_id,
        "role": who.role,
        "name": who.name,
        "course_id": who.course_id,
        "iat": int(who.issued_at.timestamp()),
        "exp": int(who.expires_at.timestamp()),
        "aud": AUDIENCE,
    }
    return orjson.dumps({name: value for name, value in claims.items() if value is not None})


def _asked(raw: bytes) -> Caller:
    """A line each: ``o`` origin, ``a`` Authorization, ``p`` protocols, ``t`` traceparent, ``q``
    name=value of the query; `TOKEN` stands for a good token."""
    found: dict[str, list[str]] = {kind: [] for kind in "oaptq"}
    for line in raw.decode(errors="surrogateescape").replace("TOKEN", _TOKEN).split("\n"):
        if line[:1] in found:
            found[line[0]].append(line[1:])
    pairs = [(name, value) for name, _, value in (pair.partition("=") for pair in found["q"])]
    asked = Asked(HOST, found["o"], found["a"], found["p"], found["t"], pairs)
    return admit(asked, "learner", SECRET, ("https://lms.school.org",), NOW)


def _llm_stream(raw: bytes) -> list[Chunk | None]:
    """However the bytes are cut, the same is read: the first byte says where."""
    step = (raw[0] if raw else 0) + 1
    body = raw[1:]
    whole = _read([body])
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    if _read(pieces) != whole:
        raise ContractBroken(
            f"cut every {step} bytes, the stream says {_read(pieces)!r}, {whole!r}"
        )
    return [chunk_of(data) for data in whole]


def _read(pieces: list[bytes]) -> list[str]:
    reader = EventReader()
    events = [data for piece in pieces for data in reader.feed(piece)]
    held = len(reader._rest) + sum(map(len, reader._data))
    if held > MAX_LINE_BYTES + MAX_EVENT_BYTES:
        raise ContractBroken(f"{held} bytes are kept")
    return events


def _gateway_frame(raw: bytes) -> GatewayFrame | None:
    """What whoever stands at the other end sends to a terminal."""
    shown: list[str] = []
    chat = TerminalChat(
        "http://h", "", "s-1", lambda who, text: shown.append(who + text),
        lambda who, text: shown.append(who + text),
    )  # fmt: skip
    _loop().run_until_complete(chat.take(raw))
    if any(text != printable(text) for text in shown):
        raise ContractBroken(f"a terminal is steered by {shown}")
    return frame_in(raw)


_SAYS = (
    b'{"type":"say","id":"m-1","text":"Why is the sign different here? I am not sure."}',
    b'{"type":"say","id":"m-2","text":"a hint, please","topic_id":"factoring",'
    b'"sent_at":"2026-01-31T23:59:59Z"}',
    b'{"type":"end"}',
    b'{"type":"ping"}',
)
_EXPERT = b'"user_id":"%s","session_id":"s-1"}' % USER.encode()
_EXPERTS = (
    b'{"type":"watch","after":3,' + _EXPERT,
    b'{"type":"take",' + _EXPERT,
    b'{"type":"hand_back",' + _EXPERT,
    b'{"type":"answer","id":"a-1","text":"Look at line 2.",' + _EXPERT,
    b'{"type":"sessions"}',
)
_LIVE = (
    b'{"type":"token","in_reply_to":"%s","position":0,"text":"Look",' % USER.encode() + _EXPERT,
    b'{"type":"notice","code":"llm_away","text":"The tutor is away."}',
    b'{"type":"pong"}',
)
_GATEWAY = (
    Welcome(session_id="s-1", heartbeat_seconds=20.0),
    Accepted(id="m-1", event_id=USER),
    Refused(code="too_fast", text="too fast", id="m-1"),
    Message(
        id=3, event_id=USER, user_id=USER, session_id="s-1", message_direction="system",
        message_text="Look at\u202e line 2.", responder="expert:Ada", in_reply_to=USER,
        feedback_flags=("session_ended",), timestamp=NOW,
    ),
    Sessions(
        sessions=(
            OpenSession(
                user_id=USER, session_id="s-1", last_message_at=NOW, label="", owner="",
                waiting=True,
            ),
        )
    ),
)  # fmt: skip
_CLAIMS = (
    b'{"sub":"%s","role":"learner","iat":1769904000,"exp":1769907600,"aud":"learner-chat"}'
    % USER.encode(),
    b'{"sub":"%s","role":"expert","name":"Ada","course_id":"algebra-1","iat":1769904000,'
    b'"exp":1769907600,"aud":"learner-chat"}' % USER.encode(),
    b'{"sub":1,"aud":["learner-chat"],"iat":-1e99,"exp":9e99}',
)
_ASKED = (
    b"ohttps://chat.school.org\nplearner-chat, TOKEN\nqsession=s-1\nqafter=12",
    b"aBearer TOKEN\nt00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"ohttps://lms.school.org\nplearner-chat\npTOKEN\nqafter=-1",
)
_STREAM = (
    b'\x07data: {"choices":[{"delta":{"content":"Look at"}}]}\n\n'
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":12,"completion_tokens":3}}\n\ndata: [DONE]\n\n',
    b"\x00: comment\r\nevent: x\r\ndata: a\r\ndata: b\r\n\r\n"
    b'data: {"error":{"message":"no"}}\r\n\r\n',
    b"\x03data:1\rdata:2\r\rid: 7\nretry: 3\n\n",
)

DECODERS = (
    Decoder("learner-frame", _learner_frame, (), _SAYS, _written),
    Decoder("expert-frame", _expert_frame, (), _EXPERTS, _written),
    Decoder("live-frame", _live_frame, (), _LIVE, _written),
    Decoder(
        "gateway-frame",
        _gateway_frame,
        (),
        (*_LIVE, *(_written(frame) for frame in _GATEWAY)),
        _written,
    ),
    Decoder("token", _token, TokenRefused, (_TOKEN.encode(), b"a.b.c")),
    Decoder("signed-claims", _signed_claims, TokenRefused, _CLAIMS, _signed_again),
    Decoder("connection", _asked, NotAdmitted, _ASKED),
    Decoder("llm-stream", _llm_stream, LlmFailed, _STREAM, longest=4_096),
)
