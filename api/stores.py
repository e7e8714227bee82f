"""Redis and PostgreSQL as a service asks them whose caller waits: briefly, and not in vain.

A store that did not answer is not asked again for a second, so that one that hangs holds up the
first request and not each of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from redis.asyncio import Redis

from api.limits import Limits
from config.settings import PostgresSettings, RedisSettings
from schemas.errors import StoreUnavailable
from sinks import postgres_connection
from sinks.postgres_connection import answering
from sinks.redis import connect, redis_errors

LEFT_ALONE_SECONDS = 1.0
_CONNECTIONS = 8


class Stores:
    """Both stores; each of their errors is a `StoreUnavailable`. `open` comes first."""

    def __init__(self, redis: RedisSettings, postgres: PostgresSettings, limits: Limits) -> None:
        brief = min(redis.timeout_seconds, limits.redis_seconds)
        self.redis_settings = redis.model_copy(update={"timeout_seconds": brief})
        brief = min(postgres.timeout_seconds, limits.postgres_seconds)
        self._postgres_settings = postgres.model_copy(update={"timeout_seconds": brief})
        self._redis: Redis = connect(self.redis_settings)
        self._pool = asyncpg.create_pool(
            min_size=0, max_size=_CONNECTIONS, connect=self._connect, reset=_not_needed
        )
        self._redis_away, self._postgres_away = _Away(), _Away()

    async def open(self) -> None:
        """Comes first; connects to nothing yet."""
        await self._pool

    @contextmanager
    def redis(self) -> Iterator[Redis]:
        """Raises: StoreUnavailable."""
        with self._redis_away.noticed(), redis_errors(self._redis):
            yield self._redis
        heed_cancellation()

    @asynccontextmanager
    async def postgres(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for a question or two, none of which changes anything.

        Raises:
            StoreUnavailable: nobody answers, or the store lets nobody in.
        """
        with self._postgres_away.noticed(), answering(self._postgres_settings):
            connection = await self._pool.acquire(
                timeout=2 * self._postgres_settings.timeout_seconds
            )
            try:
                yield connection
            except BaseException as error:
                try:
                    lost = connection.is_closed()
                    connection.terminate()  # an answer may be under way: it is nobody's
                except asyncpg.InterfaceError:  # the pool has dropped it: the server has ended it
                    lost = True
                if lost and isinstance(error, asyncpg.InterfaceError):
                    raise asyncpg.ConnectionDoesNotExistError("connection lost") from None
                raise
            finally:
                await self._pool.release(connection)

    async def close(self) -> None:
        self._pool.terminate()
        await self._redis.aclose()

    async def _connect(self, *_: Any, **__: Any) -> asyncpg.Connection:
        return await postgres_connection.connect(self._postgres_settings)


def heed_cancellation() -> None:
    """After the Redis driver was used: it waits by ``asyncio.wait_for``, which up to Python 3.11
    loses a cancellation that comes when the wait is over. A caller who left would keep their seat.

    Raises:
        asyncio.CancelledError: the task was to end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _not_needed(connection: asyncpg.Connection) -> None:
    """Nothing of ours outlasts a question."""


class _Away:
    def __init__(self) -> None:
        self._until = 0.0
        self._said = ""

    @contextmanager
    def noticed(self) -> Iterator[None]:
        clock = asyncio.get_running_loop().time
        if clock() < self._until:
            raise StoreUnavailable(self._said)
        try:
            yield
        except StoreUnavailable as error:
            self._until, self._said = clock() + LEFT_ALONE_SECONDS, str(error)
            raise
