"""Listens in Redis for what responders show while they write: one subscription for all sessions.

What is shown so is lost while Redis is away, and that is no harm: the message that it becomes
comes by `chat.feed`. Once Redis is back, every open session is subscribed to again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from chat.ending_tasks import first_of
from chat.live_queue import LiveQueue, channel_of
from schemas.errors import StoreUnavailable

log = structlog.get_logger(__name__)

_OURS = channel_of("gateway", "beat")
"""Nobody speaks there: a subscription without any channel could not be read."""
_PREFIX = len(channel_of("", "")) - 1
_AT_ONCE = 500
_QUIET_SECONDS = 10.0
_PAUSE_SECONDS = 0.5


PassOn = Callable[[str, bytes], None]
"""Called with a session's name and a frame, as Redis has it."""


class LiveFrames:
    """The sessions that are open here, and what is shown in them."""

    def __init__(self, queue: LiveQueue) -> None:
        self._queue = queue
        self._open: set[str] = set()
        self._changed: set[str] = set()
        self._wake = asyncio.Event()

    def follow(self, name: str) -> None:
        self._open.add(name)
        self._change(name)

    def leave(self, name: str) -> None:
        self._open.discard(name)
        self._change(name)

    async def run(self, pass_on: PassOn) -> None:
        """Until cancelled."""
        while True:
            try:
                async with self._queue.listening() as pubsub:
                    await pubsub.subscribe(_OURS)
                    self._changed = set(self._open)
                    self._wake.set()
                    await first_of(
                        [
                            asyncio.create_task(self._subscribe(pubsub)),
                            asyncio.create_task(_listen(pubsub, pass_on)),
                        ]
                    )
            except (RedisError, OSError, StoreUnavailable, RuntimeError) as error:
                # RuntimeError: the driver connects again in whichever of the two tasks sees the
                # line break, and asyncio lets only one of them read.
                log.debug("no live frames while Redis is away", reason=str(error))
            await asyncio.sleep(_PAUSE_SECONDS)

    def _change(self, name: str) -> None:
        self._changed.add(name)
        self._wake.set()

    async def _subscribe(self, pubsub: PubSub) -> None:
        """A session that was left and opened again in between is only looked at as it is now."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            changed, self._changed = sorted(self._changed), set()
            for start in range(0, len(changed), _AT_ONCE):
                part = changed[start : start + _AT_ONCE]
                opened = [_channel(name) for name in part if name in self._open]
                closed = [_channel(name) for name in part if name not in self._open]
                if opened:
                    await pubsub.subscribe(*opened)
                if closed:
                    await pubsub.unsubscribe(*closed)


async def _listen(pubsub: PubSub, pass_on: PassOn) -> None:
    asked = False
    while True:
        answer = await pubsub.parse_response(block=False, timeout=_QUIET_SECONDS)
        if answer is None:
            if asked:
                raise StoreUnavailable("redis: the subscription is dead")
            await pubsub.ping()
            asked = True
            continue
        asked = False
        message: Any = await pubsub.handle_message(answer)  # type: ignore[no-untyped-call]
        if message and message["type"] == "message":
            pass_on(message["channel"].decode()[_PREFIX:], message["data"])


def _channel(name: str) -> str:
    return channel_of(*name.split("/", 1))
