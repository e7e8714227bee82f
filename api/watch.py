"""Wakes who waits for a learner's next decision.

One connection to Redis listens for all of them, on a channel for each learner somebody waits for.
It is asked for a sign of life when it has been quiet. While it is lost PostgreSQL is asked once a
second about all these learners together. To be woken means "look again": it may be for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import redis.exceptions
import structlog
from redis.asyncio.client import PubSub

from api.stores import Stores, heed_cancellation
from queries.deliveries import latest_delivery_ids
from schemas.errors import StoreUnavailable
from schemas.fields import TREE_IDS
from sinks.redis import DELIVERY, connect, delivery_channel, redis_errors

log = structlog.get_logger("learner.api")

POLL_SECONDS = 1.0
_QUIET_SECONDS, _LOST_SECONDS = 2.0, 4.0
_CONFIRMED_SECONDS = 1.0
_NOBODYS = DELIVERY
"""A channel that is always listened on, so that the connection can be asked for a sign of life."""


class Watch:
    """`run` it as a task of the process, as long as anybody may wait."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._line: _Line | None = None
        self._said_away = False
        self._polled: dict[str, set[str]] = {}

    @asynccontextmanager
    async def of(self, user_id: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set at every change from now on: clear it, look, wait.

        What is looked up after this has begun cannot have missed a change.
        """
        woken = asyncio.Event()
        events = self._waiting.setdefault(user_id, set())
        events.add(woken)
        try:
            if self._line is not None:
                await self._line.listens(delivery_channel(user_id))
            yield woken
        finally:
            events.discard(woken)
            if not events and self._waiting.get(user_id) is events:
                del self._waiting[user_id]

    def wake_all(self) -> None:
        for user_id in self._waiting:
            self._wake(user_id)

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self._listen()
            except StoreUnavailable as error:
                if not self._said_away:
                    log.warning("no news from Redis, asking PostgreSQL instead", error=str(error))
                self._said_away = True
            await self._poll()
            await asyncio.sleep(POLL_SECONDS)

    async def _listen(self) -> None:
        """Until Redis is lost.

        Raises:
            StoreUnavailable: it is.
        """
        client = connect(self._stores.redis_settings)
        line = _Line(client.pubsub())
        try:
            with redis_errors(client):
                await line.open({_NOBODYS, *map(delivery_channel, self._waiting)})
                self._line = line  # who comes from now on asks for their channel themselves
                await line.open(set(map(delivery_channel, self._waiting)))  # who came meanwhile
                if self._said_away:
                    log.info("news from Redis again")
                self._said_away, self._polled = False, {}
                self.wake_all()  # who waits may have missed something meanwhile
                while True:
                    if (channel := await line.news()) is not None:
                        self._wake(channel.removeprefix(DELIVERY))
                    await line.sweep(self._wants)
        finally:
            self._line = None
            await line.close()
            await client.aclose()

    def _wants(self, channel: str) -> bool:
        return channel == _NOBODYS or channel.removeprefix(DELIVERY) in self._waiting

    async def _poll(self) -> None:
        users = list(self._waiting)
        if not users:
            return
        try:
            async with self._stores.postgres() as connection:
                found = await latest_delivery_ids(connection, users, TREE_IDS)
        except StoreUnavailable:
            return
        before, self._polled = self._polled, {user_id: set() for user_id in users}
        for user_id, delivery_id in found:
            self._polled[user_id].add(delivery_id)
        for user_id in users:
            if before.get(user_id) != self._polled[user_id]:
                self._wake(user_id)

    def _wake(self, user_id: str) -> None:
        for woken in self._waiting.get(user_id, ()):
            woken.set()


class _Line:
    """A connection that listens: who asks for a channel waits until Redis has said that it does."""

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub
        self._channels: dict[str, asyncio.Event] = {}
        self._sending = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._swept_at = self._loop.time()

    async def open(self, channels: set[str]) -> None:
        """Once it listens on them. What is said there meanwhile is not passed on."""
        new = {channel: asyncio.Event() for channel in channels - self._channels.keys()}
        if not new:
            return
        self._channels |= new
        async with self._sending:
            await self._pubsub.subscribe(*new)
        while not all(confirmed.is_set() for confirmed in new.values()):
            await self.news()

    async def listens(self, channel: str) -> None:
        """Once Redis listens on that channel for us, or is lost."""
        confirmed = self._channels.get(channel)
        if confirmed is None:
            confirmed = self._channels[channel] = asyncio.Event()
            # Who asked may leave meanwhile, and would take the connection with them.
            await asyncio.shield(asyncio.create_task(self._subscribe(channel)))
        with suppress(TimeoutError):
            async with asyncio.timeout(_CONFIRMED_SECONDS):
                await confirmed.wait()

    async def _subscribe(self, channel: str) -> None:
        with suppress(redis.exceptions.RedisError, OSError):  # `news` finds it out
            async with self._sending:
                await self._pubsub.subscribe(channel)

    async def news(self) -> str | None:
        """A channel on which something was said; ``None`` now and then.

        Raises:
            redis.exceptions.RedisError: the connection is lost.
        """
        connection = self._pubsub.connection
        if connection is None or not connection.is_connected:
            # Left alone the driver would connect again, and what was said meanwhile be missed.
            raise redis.exceptions.ConnectionError("connection lost")
        message: Any = await self._pubsub.get_message(timeout=POLL_SECONDS)
        heed_cancellation()
        now = self._loop.time()
        if message is None:
            if now - self._heard_at > _LOST_SECONDS:
                raise redis.exceptions.TimeoutError("no sign of life")
            if now - self._heard_at > _QUIET_SECONDS:
                async with self._sending:
                    await self._pubsub.ping()
            return None
        self._heard_at = now
        channel = (message["channel"] or b"").decode()
        if message["type"] == "subscribe" and channel in self._channels:
            self._channels[channel].set()
        return channel if message["type"] == "message" else None

    async def sweep(self, is_wanted: Callable[[str], bool]) -> None:
        """Now and then leaves the channels that nobody wants any more."""
        if self._loop.time() - self._swept_at < POLL_SECONDS:
            return
        self._swept_at = self._loop.time()
        gone = [c for c, said in self._channels.items() if said.is_set() and not is_wanted(c)]
        for channel in gone:
            del self._channels[channel]
        if gone:
            async with self._sending:
                await self._pubsub.unsubscribe(*gone)

    async def close(self) -> None:
        for confirmed in self._channels.values():
            confirmed.set()
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]
