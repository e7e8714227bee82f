"""Redis rebuilt under keys beside the live ones, which are then renamed.

``rebuild:learner:…`` are the new ones until then, ``before-<UTC time>:learner:…`` the old ones
afterwards, which expire as they would have. Key by key the old one goes and the new one comes in
one step; the chat's live queue is not touched. A running sink is not kept out: the record with
the highest position stays under a key, whoever writes it when.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
from redis.asyncio import Redis

from config.settings import RedisSettings
from sinks.beside import KeptOut, stamp
from sinks.redis import (
    DECISION,
    DELIVERY,
    HIGHEST,
    THRESHOLDS,
    RedisSink,
    connect,
    redis_errors,
)

_NEW = "rebuild:"
_BEFORE = "before-"
_KINDS = (DECISION, DELIVERY, THRESHOLDS, HIGHEST)
_AT_ONCE = 250
_TIMES = {DECISION: "timestamp", DELIVERY: "delivery_timestamp"}

_CHANGE = """
for i, key in ipairs(KEYS) do
  local new = redis.call('EXISTS', ARGV[1] .. key) == 1
  if (new or ARGV[3] == '1') and redis.call('EXISTS', key) == 1 then
    redis.call('RENAME', key, ARGV[2] .. key)
  end
  if new then redis.call('RENAME', ARGV[1] .. key, key) end
end
"""
"""KEYS: live ones. Then what stands before the new and before the old ones, and whether a key that
has no new one goes as well."""


class RedisBeside:
    """Each kind of key that the sink writes."""

    name = RedisSink.name
    kept_out = KeptOut.ANY_ORDER

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._client: Redis | None = None

    async def oldest(self) -> datetime | None:
        """Of the decisions and deliveries that have not expired."""
        client = self._connected()
        oldest = None
        with redis_errors(client):
            for kind, time in _TIMES.items():
                async for keys in _keys(client, kind):
                    pipeline = client.pipeline(transaction=False)
                    for key in keys:
                        pipeline.hget(key, "record")
                    for record in await pipeline.execute():
                        at = _told(record, time)
                        if at is not None:
                            oldest = at if oldest is None else min(at, oldest)
        return oldest

    async def begin(self) -> RedisSink:
        client = self._connected()
        with redis_errors(client):
            await _drop(client, _NEW)
        return RedisSink(self._settings, _NEW)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        yield

    async def switch(self) -> str:
        client = self._connected()
        before = f"{_BEFORE}{stamp(datetime.now(UTC))}:"
        change: Any = client.register_script(_CHANGE)
        with redis_errors(client):
            for kind in _KINDS:
                # SCAN may tell a key once more: what stands there by then is the new one.
                changed: set[bytes] = set()
                async for keys in _keys(client, kind):
                    todo = [key for key in dict.fromkeys(keys) if key not in changed]
                    changed.update(todo)
                    if todo:
                        await change(keys=todo, args=[_NEW, before, 1])
                async for keys in _keys(client, f"{_NEW}{kind}"):
                    live = [key.removeprefix(_NEW.encode()) for key in keys]
                    await change(keys=live, args=[_NEW, before, 0])
        return before

    async def old(self) -> list[str]:
        client = self._connected()
        found = set()
        with redis_errors(client):
            async for keys in _keys(client, f"{_BEFORE}{'[0-9]' * 14}:"):
                found |= {key.decode().partition(":")[0] + ":" for key in keys}
        return sorted(found)

    async def drop_old(self, name: str) -> None:
        client = self._connected()
        with redis_errors(client):
            await _drop(client, name)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _connected(self) -> Redis:
        if self._client is None:
            self._client = connect(self._settings)
        return self._client


def _told(record: bytes | None, name: str) -> datetime | None:
    """A record's time; ``None`` if it was dropped meanwhile, or is none: that is what is mended."""
    try:
        return datetime.fromisoformat(orjson.loads(record or b"")[name])
    except (ValueError, KeyError, TypeError):
        return None


async def _keys(client: Redis, prefix: str) -> AsyncIterator[list[bytes]]:
    some: list[bytes] = []
    async for key in client.scan_iter(match=f"{prefix}*", count=_AT_ONCE):
        some.append(key)
        if len(some) >= _AT_ONCE:
            yield some
            some = []
    if some:
        yield some


async def _drop(client: Redis, prefix: str) -> None:
    for kind in _KINDS:
        async for keys in _keys(client, f"{prefix}{kind}"):
            await client.unlink(*keys)
