"""Reads a connection's frames: each is checked, counted, and refused if it is none of ours."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import orjson
from aiohttp import WSMsgType, web
from pydantic import TypeAdapter, ValidationError

from agents.metrics_chat import GatewayMetrics
from chat.connection import MISBEHAVED, NOT_TEXT, Connection
from chat.rate_limit import Buckets
from config.settings import ChatSettings
from schemas.chat_frames import Ping, Pong, Refused

F = TypeVar("F")

MOST_INVALID = 5
"""Frames that are none, before the connection is closed."""
_FRAMES_PER_MESSAGE = 10
"""How many times more frames of any kind than messages may come; beyond that it is closed."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FRAMES = {WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG}
_REASONS = {1009: "too_large", 1006: "silent"}
_PONG = Pong().model_dump_json().encode()


class FrameRates:
    """How often somebody may send: on all of their connections together, also on a new one.

    ``most``: people that are remembered.
    """

    def __init__(self, settings: ChatSettings, most: int) -> None:
        rate, burst, more = settings.messages_per_minute / 60, settings.burst, _FRAMES_PER_MESSAGE
        self.messages = Buckets(rate, burst, most)
        self.frames = Buckets(rate * more, burst * more, most)


class FrameLoop:
    """One connection's frames, until it ends.

    Args:
        user_id: whose connection it is.
        frames: what may come here.
        take: called with each, one after the other; pings are answered without it.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        connection: Connection,
        user_id: str,
        rates: FrameRates,
        metrics: GatewayMetrics,
        frames: TypeAdapter[F],
        take: Callable[[F], Awaitable[None]],
    ) -> None:
        self._connection, self._metrics = connection, metrics
        self._user_id, self._rates = user_id, rates
        self._frames, self._take = frames, take
        self._clock = asyncio.get_running_loop().time
        self._invalid = 0

    async def run(self, ws: web.WebSocketResponse) -> str:
        """Why it ended, in a word. What comes after we have closed it is not looked at."""
        while True:
            message = await ws.receive()
            ending = self._connection.ending
            if ending is not None and message.type in _FRAMES:
                continue
            if message.type is WSMsgType.TEXT:
                await self._take_raw(message.data)
            elif message.type is WSMsgType.PING:
                self._connection.pong(message.data)
            elif message.type is WSMsgType.BINARY:
                self._connection.close(NOT_TEXT)
            elif message.type is not WSMsgType.PONG:
                return ending.reason if ending else _REASONS.get(ws.close_code or 0, "left")

    async def _take_raw(self, raw: bytes) -> None:
        now = self._clock()
        if self._rates.frames.take(self._user_id, now):
            self._connection.close(MISBEHAVED)
            return
        try:
            frame = self._frames.validate_json(raw)
        except ValidationError as error:
            self._refuse_invalid(raw, error)
            return
        if isinstance(frame, Ping):
            self._connection.send(_PONG)
        elif seconds := self._rates.messages.take(self._user_id, now):
            text = f"too fast: try again in {max(1, round(seconds))} s"
            self._refuse(Refused(code="too_fast", text=text, id=getattr(frame, "id", None)))
        else:
            await self._take(frame)

    def _refuse(self, refused: Refused) -> None:
        self._metrics.refused(refused.code)
        self._connection.tell(refused)

    def _refuse_invalid(self, raw: bytes, error: ValidationError) -> None:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        text = f"{place}: {first['msg']}" if place else first["msg"]
        too_long = first["type"] == "string_too_long"
        code: Literal["too_large", "invalid_frame"] = "too_large" if too_long else "invalid_frame"
        self._refuse(Refused(code=code, text=text[:500], id=_id_in(raw)))
        if not too_long:  # a person may well paste such a text now and then
            self._invalid += 1
        if self._invalid >= MOST_INVALID:
            self._connection.close(MISBEHAVED)


def _id_in(raw: bytes) -> str | None:
    """The message's own id in a frame that is not valid otherwise."""
    try:
        frame = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    told = frame.get("id") if isinstance(frame, dict) else None
    return told if isinstance(told, str) and _ID.fullmatch(told) else None
