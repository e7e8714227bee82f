"""What Redis holds, against what the topics say: latest decisions, deliveries, thresholds in force.

A key that was dropped after ``expire_days`` is missing here, as it is for every reader.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
from redis.asyncio import Redis

from audit.rows import Row, plain
from config.settings import RedisSettings
from schemas.topics import DECISIONS, DELIVERY_LOG
from sinks.contract import SinkRecord
from sinks.redis import (
    DECISION,
    DELIVERY,
    HIGHEST,
    THRESHOLDS,
    RedisSink,
    connect,
    newest_deliveries,
    redis_errors,
)

_KEYS_AT_ONCE = 500


class RedisAudit:
    """Of ``tree.versions`` it must be told those records only that came into force."""

    name = RedisSink.name
    topics = RedisSink.topics
    tables: tuple[str, ...] = ("latest_decisions", "latest_deliveries", "thresholds")

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings

    def expected(self, record: SinkRecord) -> Iterator[Row]:
        """Whole records: what Redis keeps, it keeps as it came."""
        value = record.value or {}
        if record.topic == DECISIONS:
            id_ = f"{value['user_id']}:{value['tree_id']}"
            yield Row("latest_decisions", id_, plain(value))
        elif record.topic == DELIVERY_LOG:
            for key in newest_deliveries((record,)):
                yield Row("latest_deliveries", key.removeprefix(DELIVERY), plain(value))
        else:
            row = {**plain(value), "highest_version": value["version"]}
            yield Row("thresholds", value["tree_id"], row)

    async def stored(self) -> AsyncIterator[Row]:
        """Key by key, as they are now; a key that a SCAN tells twice is one row."""
        client = connect(self._settings)
        try:
            with redis_errors(client):
                async for id_, row in _latest(client, DECISION):
                    yield Row("latest_decisions", id_, row)
                async for id_, row in _latest(client, DELIVERY):
                    yield Row("latest_deliveries", id_, row)
                async for id_, row in _thresholds(client):
                    yield Row("thresholds", id_, row)
        finally:
            await client.aclose()


async def _latest(client: Redis, prefix: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    async for keys in _scan(client, prefix):
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.hget(key, "record")
        for key, record in zip(keys, await pipeline.execute(), strict=True):
            if record is not None:  # otherwise dropped meanwhile
                yield key.decode().removeprefix(prefix), orjson.loads(record)


async def _thresholds(client: Redis) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    async for keys in _scan(client, THRESHOLDS):
        for key in keys:
            id_ = key.decode().removeprefix(THRESHOLDS)
            document = await client.get(key)
            highest = await client.hget(f"{HIGHEST}{id_}", "version")
            if document is not None:
                row = {**orjson.loads(document), "highest_version": int(highest or -1)}
                yield id_, row


async def _scan(client: Redis, prefix: str) -> AsyncIterator[list[bytes]]:
    seen: set[bytes] = set()
    some: list[bytes] = []
    async for key in client.scan_iter(match=f"{prefix}*", count=_KEYS_AT_ONCE):
        if key not in seen:
            seen.add(key)
            some.append(key)
        if len(some) >= _KEYS_AT_ONCE:
            yield some
            some = []
    if some:
        yield some
