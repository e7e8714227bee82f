"""One WebSocket's way out: frames wait in a bounded queue, and who does not read is let go.

Nobody waits for a slow reader: whoever has something to show puts it here and goes on. There is a
task only while something is being written, so 10,000 idle connections have none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from aiohttp import WSMsgType, web
from pydantic import BaseModel

_CLOSE_SECONDS = 3.0
"""How long somebody who reads nothing may keep a socket of ours after it was closed."""


class Ending(NamedTuple):
    """Why a connection is closed: WebSocket's code, a word for metrics, words for the person."""

    code: int
    reason: str
    text: str


GOING_AWAY = Ending(1001, "stopping", "the gateway restarts: connect again")
NOT_TEXT = Ending(1003, "binary", "frames are text: one JSON object each")
MISBEHAVED = Ending(1008, "misbehaved", "too many frames that are none, or too fast")
FAILED = Ending(1011, "failed", "something went wrong here: connect again")
BAD_REQUEST = 4400
TOKEN = 4401
FORBIDDEN = 4403
TOO_MANY = 4429
EXPIRED = Ending(TOKEN, "expired", "the token has expired: get a new one")
_LEFT = Ending(1000, "left", "")
SLOW = Ending(4408, "slow", "you read too slowly: connect again, and go on from the last id")


class Connection:
    """What is sent on one WebSocket, in order.

    Args:
        most: frames that may wait; one more closes the connection.
        seconds: how long who is behind may read nothing.
    """

    __slots__ = ("_drained", "_ending", "_most", "_patience", "_pong", "_seconds", "_transport",
                 "_waiting", "_writing", "_ws")  # fmt: skip

    def __init__(
        self,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        most: int,
        seconds: float,
    ) -> None:
        self._ws, self._transport = ws, transport
        self._most, self._seconds = most, seconds
        self._waiting: deque[bytes] = deque()
        self._pong: bytes | None = None
        self._writing: asyncio.Task[None] | None = None
        self._ending: Ending | None = None
        self._drained: list[Callable[[], None]] = []
        self._patience: asyncio.TimerHandle | None = None

    @property
    def ending(self) -> Ending | None:
        """Why it was closed by us; ``None`` while it was not."""
        return self._ending

    @property
    def room(self) -> int:
        """How many messages it takes now: half the queue is for what cannot be read again."""
        return max(0, self._most // 2 - len(self._waiting))

    def send(self, frame: bytes) -> None:
        if self._ending is not None:
            return
        if len(self._waiting) >= self._most:
            self.close(SLOW)
            return
        self._waiting.append(frame)
        self._write_on()

    def tell(self, frame: BaseModel) -> None:
        """A frame of `schemas.chat_frames`."""
        self.send(frame.model_dump_json(exclude_none=True).encode())

    def send_if_quick(self, frame: bytes) -> None:
        """For what is out of date soon: left out if already half of what may wait waits."""
        if len(self._waiting) * 2 < self._most:
            self.send(frame)

    def pong(self, payload: bytes) -> None:
        """Answers a ping; of several that wait only the last."""
        self._pong = payload
        self._write_on()

    def when_drained(self, call: Callable[[], None]) -> None:
        """Calls once nothing waits any more; if that takes too long, the reader is slow."""
        self._drained.append(call)
        if self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(self._seconds, self.close, SLOW)
        self._write_on()

    def close(self, ending: Ending) -> None:
        """Once what waits was sent; of who is slow, at once."""
        if self._ending is not None:
            return
        self._ending = ending
        if ending is SLOW:
            self._waiting.clear()
            if self._writing is not None:
                self._writing.cancel()
                self._writing = None
        self._write_on()

    def gone(self) -> None:
        """The other end has left: nothing is sent any more, and the socket is given back."""
        self._waiting.clear()
        self._forget_drained()
        if self._ending is None:
            self._ending = _LEFT
            if self._writing is not None:
                self._writing.cancel()
        self._abort_later()

    def _write_on(self) -> None:
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        me = asyncio.current_task()
        try:
            # Whoever is gone is noticed by who reads.
            with contextlib.suppress(ConnectionError, RuntimeError):
                while self._waiting or self._pong is not None:
                    if self._pong is not None:
                        payload, self._pong = self._pong, None
                        await self._ws.pong(payload)
                    else:
                        await self._ws.send_frame(self._waiting.popleft(), WSMsgType.TEXT)
                if self._ending is not None:
                    await self._finish(self._ending)
        finally:
            if self._writing is me:
                self._writing = None
        for call in self._forget_drained():
            if self._ending is None:
                call()

    async def _finish(self, ending: Ending) -> None:
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    message = ending.text.encode()
                    await self._ws.close(code=ending.code, message=message, drain=False)
        finally:
            self._abort_later()

    def _forget_drained(self) -> list[Callable[[], None]]:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        calls, self._drained = self._drained, []
        return calls

    def _abort_later(self) -> None:
        """A socket is closed only when all was sent; to who reads nothing, that is never."""
        transport, self._transport = self._transport, None
        if transport is not None:
            asyncio.get_running_loop().call_later(_CLOSE_SECONDS, transport.abort)
