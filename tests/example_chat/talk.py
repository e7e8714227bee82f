"""One end of a chat WebSocket, for tests: says things, and keeps every frame that comes."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp

from chat.tokens import sign_token
from schemas.http import ChatRole

SECRET = "tests-only-" + "0123456789abcdef" * 4
SECONDS = 20
Frame = dict[str, Any]


def new_user() -> str:
    return str(uuid.uuid4())


def token_of(user_id: str, role: ChatRole = "learner", seconds: int = 600, **more: Any) -> str:
    return sign_token(SECRET, user_id, role, datetime.now(UTC), seconds, **more)


class Talk:
    """``frames``: everything that came, in order. ``closed``: the close code, once there is one."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.frames: list[Frame] = []
        self.closed: int | None = None
        self._came = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def say(self, text: str, id: str | None = None, **more: Any) -> str:
        """Its id."""
        id = id or uuid.uuid4().hex
        await self.send({"type": "say", "id": id, "text": text, **more})
        return id

    async def send(self, frame: Frame) -> None:
        await self.ws.send_str(json.dumps(frame))

    def of(self, type: str, **fields: Any) -> list[Frame]:
        """The frames of a type, with these fields."""
        wanted = {"type": type, **fields}
        return [f for f in self.frames if wanted.items() <= f.items()]

    @property
    def texts(self) -> list[str]:
        """Of the messages shown."""
        return [frame["message_text"] for frame in self.of("message")]

    @property
    def last_id(self) -> int:
        return int(self.of("message")[-1]["id"])

    async def until(self, holds: Callable[[], object], seconds: float = SECONDS) -> None:
        """Looks again with each frame; fails if it does not come."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"it did not come; closed {self.closed}, {self.frames}") from None

    async def next(self, type: str, **fields: Any) -> Frame:
        """The first frame of a type, with these fields."""
        await self.until(lambda: self.of(type, **fields))
        return self.of(type, **fields)[0]

    async def until_closed(self, seconds: float = SECONDS) -> int:
        await self.until(lambda: self.closed is not None, seconds)
        assert self.closed is not None
        return self.closed

    async def close(self) -> None:
        await self.ws.close()
        await self._reading

    async def _read(self) -> None:
        async for message in self.ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.frames.append(json.loads(message.data))
                self._came.set()
        self.closed = self.ws.close_code
        self._came.set()


@asynccontextmanager
async def talking(
    url: str, token: str, session: str | None = None, after: int | None = None, **options: Any
) -> AsyncIterator[Talk]:
    """``url``: of the gateway, http://…; ``options``: of `aiohttp.ClientSession.ws_connect`."""
    path = options.pop("path", "/ws")
    query = {k: v for k, v in (("session", session), ("after", after)) if v is not None}
    options.setdefault("headers", {"Authorization": f"Bearer {token}"})
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(f"{url}{path}", params=query, **options) as ws,
    ):
        talk = Talk(ws)
        yield talk
        await talk.close()
