"""A learner who talks through whatever happens: connects again, and sends again what is in doubt.

What a good client does (docs/chat.md): a message keeps its ``id`` until it is accepted, and a
connection that was lost goes on after the last message seen.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import aiohttp
from example_chat.talk import token_of

_PAUSE_SECONDS = 0.2
_ACCEPT_SECONDS = 8.0


class ChatLearner:
    """``accepted``: the event ids of its messages, in the order in which it said them.
    ``shown``: every message frame that came, over all its connections.
    """

    def __init__(self, urls: Sequence[str], start: int) -> None:
        self.user_id = str(uuid.uuid4())
        self.session_id = f"s{uuid.uuid4().hex[:12]}"
        self.accepted: list[str] = []
        self.shown: list[dict[str, Any]] = []
        self.connections = 0
        self._urls, self._next = urls, start
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._came = asyncio.Event()
        self._accepted_ids: dict[str, str] = {}

    @property
    def last_id(self) -> int:
        return int(self.shown[-1]["id"]) if self.shown else -1

    @property
    def answers(self) -> dict[str, str]:
        """The answers shown, by the message that they answer."""
        return {f["in_reply_to"]: f["event_id"] for f in self.shown if f["in_reply_to"]}

    async def stay_connected(self, client: aiohttp.ClientSession) -> None:
        """Until it is cancelled."""
        headers = {"Authorization": f"Bearer {token_of(self.user_id, seconds=7200)}"}
        while True:
            url = self._urls[self._next % len(self._urls)]
            self._next += 1
            query = {"session": self.session_id, "after": str(self.last_id)}
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with client.ws_connect(
                    f"{url}/ws", params=query, headers=headers, heartbeat=5
                ) as ws:
                    self.connections += 1
                    self._ws = ws
                    async for message in ws:
                        if message.type is aiohttp.WSMsgType.TEXT:
                            self._take(json.loads(message.data))
            self._ws = None
            await asyncio.sleep(_PAUSE_SECONDS)

    async def say(self, text: str) -> str:
        """Sends until it is accepted; its event id."""
        id_ = uuid.uuid4().hex
        while id_ not in self._accepted_ids:
            self._came.clear()
            ws = self._ws
            if ws is not None and not ws.closed:
                with suppress(ConnectionError, aiohttp.ClientError):
                    await ws.send_str(json.dumps({"type": "say", "id": id_, "text": text}))
            with suppress(TimeoutError):
                async with asyncio.timeout(_ACCEPT_SECONDS if ws else _PAUSE_SECONDS):
                    while id_ not in self._accepted_ids and self._ws is ws:
                        await self._came.wait()
                        self._came.clear()
        self.accepted.append(self._accepted_ids[id_])
        return self._accepted_ids[id_]

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "accepted":
            self._accepted_ids[frame["id"]] = frame["event_id"]
        elif frame["type"] == "message":
            self.shown.append(frame)
        self._came.set()
