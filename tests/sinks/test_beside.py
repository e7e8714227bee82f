"""What each store does beside the live one, without Kafka: twice at once, left over, by others."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from config.settings import DuckdbSettings, PostgresSettings
from schemas.errors import EditRefused
from servers.postgres import new_database
from servers.store_server import StoreServer
from sink_suite.stream_records import stream_records
from sinks.beside import stamp
from sinks.clickhouse_beside import of_database
from sinks.duckdb import DuckdbSink
from sinks.duckdb_beside import DuckdbBeside
from sinks.duckdb_file import reading
from sinks.postgres import PostgresSink
from sinks.postgres_beside import PostgresBeside
from sinks.postgres_connection import connected

KILLED = """
import duckdb, os, sys
db = duckdb.connect()
db.execute("ATTACH ? AS kept", [sys.argv[1]])
db.execute("CREATE TABLE kept.left_over AS SELECT 1 AS n")
os._exit(9)
"""


@pytest.fixture
async def postgres(postgres_server: StoreServer) -> AsyncIterator[PostgresSettings]:
    async with new_database(postgres_server) as settings:
        yield settings


async def filled(sink: PostgresSink | DuckdbSink) -> None:
    await sink.setup()
    await sink.write([r for r in stream_records() if r.topic in sink.topics])
    await sink.close()


async def test_a_second_rebuild_of_postgres_or_of_a_file_is_refused(
    postgres: PostgresSettings, tmp_path: Path
) -> None:
    file = DuckdbSettings(file=tmp_path / "learner.duckdb")
    for first, second in (
        (PostgresBeside(postgres), PostgresBeside(postgres)),
        (DuckdbBeside(file), DuckdbBeside(file)),
    ):
        sink = await first.begin()
        await filled(sink)
        with pytest.raises(EditRefused, match="somebody else is rebuilding"):
            await second.begin()
        await second.close()
        async with first.alone():
            await first.switch()  # what it has begun is still there
        await first.close()
        await second.begin()
        await second.close()


async def test_postgres_keeps_others_out_and_ends_nobody_for_it(postgres: PostgresSettings) -> None:
    await filled(PostgresSink(postgres))
    beside = PostgresBeside(postgres)
    await filled(await beside.begin())
    writing = PostgresSink(postgres)
    await writing.setup()
    records = [r for r in stream_records() if r.topic in writing.topics][:50]
    async with beside.alone():
        written = asyncio.create_task(writing.write(records))
        read = asyncio.create_task(count(postgres, "thresholds_by_version"))
        await asyncio.sleep(1.5)  # longer than until PostgreSQL looks for deadlocks
        assert not written.done()
        old = await beside.switch()
    assert await read > 0
    await written
    await writing.close()
    async with connected(postgres) as db:
        assert await db.fetchval("SELECT count(*) FROM thresholds_by_version") > 0
        before = await db.fetchval(f"SELECT count(*) FROM {old}.decisions")  # noqa: S608
        assert await db.fetchval("SELECT count(*) FROM decisions") == before
        kept = "SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass($1)"
        assert await db.fetchval(kept, "service_keys") == "public"
        assert await db.fetchval(kept, "learner_rebuild.decisions") is None
    await beside.close()


async def test_postgres_waits_for_who_reads_one_table_and_then_another(
    postgres: PostgresSettings,
) -> None:
    await filled(PostgresSink(postgres))
    beside = PostgresBeside(postgres)
    await filled(await beside.begin())

    async def switched() -> str:
        async with beside.alone():
            return await beside.switch()

    async with connected(postgres) as reader:
        async with reader.transaction():
            await reader.fetchval("SELECT count(*) FROM chat_summaries")
            switching = asyncio.create_task(switched())
            await asyncio.sleep(1.5)
            await reader.fetchval("SELECT count(*) FROM tree_versions")
            assert not switching.done()
    assert await switching
    await beside.close()


async def test_a_table_that_somebody_dropped_comes_back(postgres: PostgresSettings) -> None:
    await filled(PostgresSink(postgres))
    async with connected(postgres) as db:
        await db.execute("DROP TABLE decisions; DROP TABLE chat_summaries CASCADE")
    beside = PostgresBeside(postgres)
    assert await beside.oldest() is not None
    await filled(await beside.begin())
    async with beside.alone():
        await beside.switch()
    await beside.close()
    for table in ("decisions", "chat_summaries", "chat_session_summaries"):
        assert await count(postgres, table) > 0


async def count(postgres: PostgresSettings, table: str) -> int:
    async with connected(postgres) as db:
        found: int = await db.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608
        return found


async def test_a_rebuild_that_fails_while_it_is_alone_leaves_postgres_as_it_was(
    postgres: PostgresSettings,
) -> None:
    await filled(PostgresSink(postgres))
    beside = PostgresBeside(postgres)
    await filled(await beside.begin())

    async def fails() -> None:
        async with beside.alone():
            await beside.switch()
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        await fails()
    await beside.close()
    again = PostgresBeside(postgres)
    assert await again.old() == []
    async with connected(postgres) as db:
        assert await db.fetchval("SELECT count(*) FROM decisions") > 0
    assert await again.oldest() is not None
    await again.close()


async def test_the_log_of_a_killed_writer_goes_into_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "learner.duckdb"
    await filled(DuckdbSink(DuckdbSettings(file=file)))
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(file))
    assert await killed.wait() == 9
    assert file.with_name("learner.duckdb.wal").exists(), "otherwise the test shows nothing"
    beside = DuckdbBeside(DuckdbSettings(file=file))
    await filled(await beside.begin())
    async with beside.alone():
        old = await beside.switch()
    await beside.close()
    with reading(file) as db:
        assert db.execute("SELECT count(*) FROM decisions").fetchall()[0][0] > 0
        assert "left_over" not in {n for (n,) in db.execute("SHOW TABLES").fetchall()}
    with reading(Path(old)) as db:
        assert db.execute("SELECT n FROM left_over").fetchall() == [(1,)]
    assert sorted(os.listdir(tmp_path)) == [file.name, Path(old).name]


def test_names_of_old_ones_are_utc() -> None:
    east = timezone(timedelta(hours=5))
    assert stamp(datetime(2026, 1, 1, 3, tzinfo=east)) == "20251231220000"
    assert stamp(datetime(2026, 1, 1, 3, tzinfo=UTC)) == "20260101030000"


@pytest.mark.parametrize(
    ("statement", "made"),
    [
        ("CREATE TABLE a.t (`x` Int8)", "CREATE TABLE `b`.t (`x` Int8)"),
        ("AS SELECT za.y, `a.y` FROM `a`.t", "AS SELECT za.y, `a.y` FROM `b`.t"),
        ("… TO a.t AS SELECT n.a.y FROM t", "… TO `b`.t AS SELECT n.a.y FROM t"),
    ],
)
def test_only_the_databases_name_is_changed(statement: str, made: str) -> None:
    assert of_database(statement, "a", "b") == made
