"""What tests of a rebuild do to a store by its own means: spoil the live one, count the old one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

from config.settings import Settings
from schemas.errors import StoreUnavailable
from sinks import clickhouse, elasticsearch_client, mongodb, redis
from sinks.duckdb_file import connection, reading, writing
from sinks.postgres_connection import connected

_NEWEST = 999_999_999
"""A place that says of a row that it is newer than whatever will come."""


async def spoil(store: str, settings: Settings) -> None:
    """Rows go, and others stay as they are, whatever comes."""
    await _SPOIL[store](settings)


async def old_rows(store: str, settings: Settings, old: str) -> int:
    """How many rows the old one has of something that the sink writes."""
    return await _OLD[store](settings, old)


async def _spoil_postgres(settings: Settings) -> None:
    async with connected(settings.postgres) as db:
        await db.execute("DELETE FROM decisions WHERE ctid IN (SELECT ctid FROM decisions LIMIT 9)")
        await db.execute(f"UPDATE learner_summaries SET source_offset = {_NEWEST}")  # noqa: S608
        if not await db.fetchval("SELECT 1 FROM pg_roles WHERE rolname = 'reader_of_tests'"):
            await db.execute("CREATE ROLE reader_of_tests")
        await db.execute("GRANT SELECT ON decisions TO reader_of_tests")


async def _old_postgres(settings: Settings, old: str) -> int:
    async with connected(settings.postgres) as db:
        assert await db.fetchval(
            "SELECT has_table_privilege('reader_of_tests', 'decisions', 'SELECT')"
        )
        found: int = await db.fetchval(f"SELECT count(*) FROM {old}.learner_summaries")  # noqa: S608
        return found


async def _spoil_duckdb(settings: Settings) -> None:
    for _ in range(100):
        try:
            with closing(connection()) as db, writing(db, settings.duckdb.file):
                db.execute('DELETE FROM events WHERE "offset" % 7 = 0')
                db.execute(f'UPDATE behavior SET "offset" = {_NEWEST}')  # noqa: S608
            return
        except StoreUnavailable:  # the sink writes
            await asyncio.sleep(0.05)
    raise AssertionError("the sink let nobody in")


async def _old_duckdb(_: Settings, old: str) -> int:
    with reading(Path(old)) as db:
        ((count,),) = db.execute("SELECT count(*) FROM behavior").fetchall()
        return int(count)


async def _spoil_clickhouse(settings: Settings) -> None:
    with clickhouse.connect(settings.clickhouse) as client:
        client.execute("TRUNCATE TABLE engagement_log")


async def _old_clickhouse(settings: Settings, old: str) -> int:
    with clickhouse.connect(settings.clickhouse) as client:
        return int(client.execute(f"SELECT count() FROM {old}.events")[0][0])  # noqa: S608


async def _spoil_elasticsearch(settings: Settings) -> None:
    client = elasticsearch_client.connect(settings.elasticsearch)
    alias = settings.elasticsearch.index
    try:
        await client.indices.refresh(index=alias)
        first, second = (await client.search(index=alias, size=2))["hits"]["hits"]
        await client.delete(index=first["_index"], id=first["_id"])
        await client.update(index=alias, id=second["_id"], doc={"source": "somebody"})
    finally:
        await client.close()


async def _old_elasticsearch(settings: Settings, old: str) -> int:
    client = elasticsearch_client.connect(settings.elasticsearch)
    try:
        return int((await client.count(index=old))["count"])
    finally:
        await client.close()


async def _spoil_mongodb(settings: Settings) -> None:
    database = mongodb.connect(settings.mongodb)
    await database["course_engagement"].delete_many({})
    await database["learner_behavior"].update_many({}, {"$set": {"offset": _NEWEST}})
    await database.client.close()


async def _old_mongodb(settings: Settings, old: str) -> int:
    database = mongodb.connect(settings.mongodb)
    count = await database[f"learner_behavior{old.removeprefix('*')}"].count_documents({})
    await database.client.close()
    return count


async def _spoil_redis(settings: Settings) -> None:
    client = redis.connect(settings.redis)
    first, second = [key async for key in client.scan_iter(f"{redis.DECISION}*")][:2]
    await client.delete(first)
    await client.hset(second, mapping={"position": _NEWEST, "record": "{}"})
    await client.aclose()


async def _old_redis(settings: Settings, old: str) -> int:
    client = redis.connect(settings.redis)
    found = [key async for key in client.scan_iter(f"{old}{redis.DECISION}*")]
    await client.aclose()
    return len(found)


_SPOIL: dict[str, Callable[[Settings], Awaitable[None]]] = {
    "postgres": _spoil_postgres,
    "duckdb": _spoil_duckdb,
    "clickhouse": _spoil_clickhouse,
    "elasticsearch": _spoil_elasticsearch,
    "mongodb": _spoil_mongodb,
    "redis": _spoil_redis,
}
_OLD: dict[str, Callable[[Settings, str], Awaitable[int]]] = {
    "postgres": _old_postgres,
    "duckdb": _old_duckdb,
    "clickhouse": _old_clickhouse,
    "elasticsearch": _old_elasticsearch,
    "mongodb": _old_mongodb,
    "redis": _old_redis,
}
