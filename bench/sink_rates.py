"""Rows a second of a sink against its store's own bulk path: same driver, same table, same run.

The bulk path gets rows that are made already: COPY for PostgreSQL, an INSERT of columns for
ClickHouse, INSERT … SELECT from a DataFrame for DuckDB. The sink gets records as Kafka had them.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import orjson

from config.settings import DuckdbSettings
from servers import clickhouse, postgres
from sink_suite.stream_records import stream_records
from sinks.clickhouse import INSERT, ClickhouseSink, sent_columns
from sinks.clickhouse import connect as clickhouse_client
from sinks.contract import Sink, SinkRecord
from sinks.duckdb import DuckdbSink
from sinks.postgres import PostgresSink
from sinks.postgres_connection import connected
from sinks.postgres_tables import DECISION_LOG

_BATCH = 10_000


class Contest(NamedTuple):
    """``ready``: of a batch, what ``bulk`` takes; made before the clock runs. ``rows``: there now.

    ``empty`` makes both ways begin alike.
    """

    sink: Sink
    topic: str
    id: str
    ready: Callable[[Sequence[SinkRecord]], Awaitable[Any]]
    bulk: Callable[[Any], Awaitable[None]]
    empty: Callable[[], Awaitable[None]]
    rows: Callable[[], Awaitable[int]]


def sink_rates(records: int, rounds: int) -> dict[str, float]:
    """``sink_ratio_<store>`` and ``sink_rows_per_s_<store>``, medians over the rounds."""
    return asyncio.run(_rates(records, rounds))


async def _rates(records: int, rounds: int) -> dict[str, float]:
    result: dict[str, float] = {}
    for store, enter in {
        "clickhouse": _clickhouse,
        "postgres": _postgres,
        "duckdb": _duckdb,
    }.items():
        async with AsyncExitStack() as stack:
            contest = await enter(stack)
            await contest.sink.setup()
            stack.push_async_callback(contest.sink.close)
            ours: list[float] = []
            bulk: list[float] = []
            for round_ in range(rounds + 1):  # the first warms up, and does not count
                ways = [(ours, True), (bulk, False)]
                for rates, by_sink in ways if round_ % 2 else reversed(ways):
                    rates.append(await _rate(contest, records, by_sink=by_sink))
            ratios = [a / b for a, b in zip(ours[1:], bulk[1:], strict=True)]
            result[f"sink_ratio_{store}"] = round(statistics.median(ratios), 2)
            result[f"sink_rows_per_s_{store}"] = round(statistics.median(ours[1:]))
            sys.stderr.write(
                f"sink {store:>10}: {statistics.median(ours[1:]):8,.0f} rows/s, bulk path "
                f"{statistics.median(bulk[1:]):8,.0f}, ratio {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f}–{max(ratios):.2f})\n"
            )
    return result


async def _rate(contest: Contest, count: int, *, by_sink: bool) -> float:
    await contest.empty()
    batches = _new(contest, count)
    ready = [] if by_sink else [await contest.ready(batch) for batch in batches]
    began = time.perf_counter()
    if by_sink:
        for batch in batches:
            await contest.sink.write(batch)
    else:
        for rows in ready:
            await contest.bulk(rows)
    seconds = time.perf_counter() - began
    there = await contest.rows()
    if there != count:
        raise SystemExit(f"{contest.sink.name}: {there:,} rows are there, not {count:,}: no report")
    return count / seconds


def _new(contest: Contest, count: int) -> list[list[SinkRecord]]:
    """Records of a simulated class, again and again under new ids."""
    known = [r for r in stream_records() if r.topic == contest.topic]
    made = []
    for offset in range(count):
        record = known[offset % len(known)]
        value = {**(record.value or {}), contest.id: str(uuid.uuid4())}
        raw = orjson.dumps(value)
        made.append(record._replace(offset=offset, value=orjson.loads(raw), raw=raw))
    return [made[at : at + _BATCH] for at in range(0, count, _BATCH)]


async def _postgres(stack: AsyncExitStack) -> Contest:
    server = postgres.start()
    stack.callback(server.stop)
    settings = await stack.enter_async_context(postgres.new_database(server))
    connection = await stack.enter_async_context(connected(settings))

    async def ready(batch: Sequence[SinkRecord]) -> list[tuple[Any, ...]]:
        return list(DECISION_LOG.rows(record.value or {} for record in batch))

    async def bulk(rows: list[tuple[Any, ...]]) -> None:
        await connection.copy_records_to_table(
            "decisions", records=rows, columns=DECISION_LOG.names
        )

    async def empty() -> None:
        await connection.execute("TRUNCATE decisions")
        await connection.execute("CHECKPOINT")

    async def rows() -> int:
        return int(await connection.fetchval("SELECT count(*) FROM decisions"))

    sink = PostgresSink(settings)
    return Contest(sink, "learner.decisions", "decision_id", ready, bulk, empty, rows)


async def _clickhouse(stack: AsyncExitStack) -> Contest:
    server = clickhouse.start()
    stack.callback(server.stop)
    settings = clickhouse.new_database(server)
    client = stack.enter_context(clickhouse_client(settings))
    tables = [name for (name,) in client.execute("SHOW TABLES")]

    async def ready(batch: Sequence[SinkRecord]) -> list[list[Any]]:
        return sent_columns(batch)

    async def bulk(columns: list[list[Any]]) -> None:
        await asyncio.to_thread(client.execute, INSERT, columns, columnar=True)

    async def empty() -> None:
        for table in tables:
            engine = client.execute(
                "SELECT engine FROM system.tables WHERE database = currentDatabase() "
                "AND name = %(table)s",
                {"table": table},
            )[0][0]
            if engine.endswith("MergeTree"):
                client.execute(f"TRUNCATE TABLE `{table}`")

    async def rows() -> int:
        return int(client.execute("SELECT count() FROM events FINAL")[0][0])

    return Contest(ClickhouseSink(settings), "learner.events", "event_id", ready, bulk, empty, rows)


async def _duckdb(stack: AsyncExitStack) -> Contest:
    file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "rates.duckdb"
    beside = file.with_name("ready.duckdb")
    sink = DuckdbSink(DuckdbSettings(file=file))

    async def ready(batch: Sequence[SinkRecord]) -> Any:
        """The very rows that the sink makes, as a DataFrame."""
        beside.unlink(missing_ok=True)
        maker = DuckdbSink(DuckdbSettings(file=beside))
        await maker.setup()
        await maker.write(batch)
        await maker.close()
        with duckdb.connect(str(beside), read_only=True) as db:
            return db.execute("SELECT * FROM decisions").df()

    async def bulk(frame: Any) -> None:
        with duckdb.connect(str(file)) as db:
            db.register("frame", frame)
            db.execute("INSERT INTO decisions SELECT * FROM frame")

    async def empty() -> None:
        file.unlink(missing_ok=True)
        await sink.setup()

    async def rows() -> int:
        with duckdb.connect(str(file), read_only=True) as db:
            found = db.execute("SELECT count(*) FROM decisions").fetchone()
        return int(found[0]) if found else 0

    return Contest(sink, "learner.decisions", "decision_id", ready, bulk, empty, rows)
