"""What ClickHouse must hold of each event, and what it holds."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
from clickhouse_driver import Client

from audit.rows import Row, plain
from config.settings import ClickhouseSettings
from sinks.clickhouse import connect, reaching
from sinks.clickhouse_tables import (
    ENGAGEMENT_LOG,
    EVENTS,
    KAFKA_OFFSET,
    KAFKA_PARTITION,
    PRECEDENCE,
    RECORD,
    Column,
    Table,
    is_learners,
)
from sinks.contract import SinkRecord

_ROWS_AT_ONCE = 5_000
_DAILY = ("user_id", "course_id", "occurred_on", "events", "seconds", "answers", "score_sum")


class ClickhouseAudit:
    """Compares every column of ``events`` and ``engagement_log``, and ``daily_activity``.

    A day cannot be told from one event: `expected` adds up what it has been given, each event
    once; a second telling changes nothing. Times are compared in whole seconds where that is all
    that ``occurred_at`` can hold, once `stored` has seen it. Events whose retention has ended are
    left out on both sides: ClickHouse drops them by month, when it merges.

    Args:
        today: the UTC day from which the retention is counted back.
    """

    name = "clickhouse"
    topics: tuple[str, ...] = ("learner.events",)
    tables: tuple[str, ...] = ("events", "engagement_log", "daily_activity")

    def __init__(self, settings: ClickhouseSettings, today: date | None = None) -> None:
        self._settings = settings
        # A day more is left out than ClickHouse drops, as the day may end meanwhile.
        kept = timedelta(settings.retention_days - 2)
        self._since = max((today or datetime.now(UTC).date()) - kept, date(1970, 1, 1))
        self._whole_seconds = False
        self._offsets: dict[str, int] = {}
        self._days: dict[tuple[str, str, str], _Day] = {}

    def expected(self, record: SinkRecord) -> Iterator[Row]:
        value: Any = record.value
        day, course = value["occurred_at"][:10], value.get("course_id", "")
        identity = _id(value["user_id"], day, value["event_id"])
        if day < self._since.isoformat():
            return
        first = identity not in self._offsets
        if self._offsets.setdefault(identity, record.offset) != record.offset:
            return
        for table in (EVENTS, ENGAGEMENT_LOG):
            told = {column.name: self._told(column, record) for column in table.columns}
            yield Row(table.name, identity, told)
        if not is_learners(value):
            return
        added = self._days.setdefault((value["user_id"], course, day), _Day())
        if first:
            added.add(value)
        yield _daily(value["user_id"], course, day, *added.totals())

    async def stored(self) -> AsyncIterator[Row]:
        client = connect(self._settings)
        try:
            with reaching(client):
                self._whole_seconds = await asyncio.to_thread(_holds_whole_seconds, client)
                for table in (EVENTS, ENGAGEMENT_LOG):
                    names = tuple(column.name for column in table.columns)
                    async for found in self._rows(client, f"{table.name} FINAL", names):
                        yield self._row(table, dict(zip(names, found, strict=True)))
                async for found in self._rows(client, "daily_activity", _DAILY):
                    yield _daily(*map(plain, found))
        finally:
            await asyncio.to_thread(client.disconnect)

    async def _rows(
        self, client: Client, table: str, names: tuple[str, ...]
    ) -> AsyncIterator[tuple[Any, ...]]:
        """The rows within the retention; fetched in a thread, some at a time."""
        columns = ", ".join(f"`{name}`" for name in names)
        # Names of ours.
        sql = f"SELECT {columns} FROM {table} WHERE occurred_on >= %(since)s"  # noqa: S608
        rows = await asyncio.to_thread(client.execute_iter, sql, {"since": self._since})
        while some := await asyncio.to_thread(lambda: list(itertools.islice(rows, _ROWS_AT_ONCE))):
            for row in some:
                yield row

    def _told(self, column: Column, record: SinkRecord) -> Any:
        """What a column must hold, from the record."""
        value: Any = record.value
        if column.part is not None:
            return plain(column.part(value[column.key]) if column.key in value else column.untold)
        of_the_record = {
            KAFKA_PARTITION.name: record.partition,
            KAFKA_OFFSET.name: record.offset,
            PRECEDENCE.name: 2**63 - 1 - record.offset,
            RECORD.name: value,
            "occurred_at": self._time(datetime.fromisoformat(value["occurred_at"])),
            "occurred_on": value["occurred_at"][:10],
        }
        return plain(of_the_record.get(column.name, value.get(column.name, column.untold)))

    def _row(self, table: Table, found: dict[str, Any]) -> Row:
        found["occurred_at"] = self._time(found["occurred_at"])
        if RECORD.name in found:
            found[RECORD.name] = orjson.loads(found[RECORD.name])
        if "hint_used" in found:
            found["hint_used"] = bool(found["hint_used"])
        values = plain(found)
        identity = _id(values["user_id"], values["occurred_on"], values["event_id"])
        return Row(table.name, identity, values)

    def _time(self, time: datetime) -> datetime:
        return time.astimezone(UTC).replace(microsecond=0) if self._whole_seconds else time


class _Day:
    """A learner's day in a course, added up as ClickHouse does: in millionths, so in any order."""

    __slots__ = ("_answers", "_events", "_score", "_seconds")

    def __init__(self) -> None:
        self._events = self._seconds = self._answers = self._score = 0

    def add(self, event: dict[str, Any]) -> None:
        self._events += 1
        self._seconds += round(event.get("duration", 0) * 1e6)
        self._answers += "score" in event
        self._score += round(event.get("score", 0) * 1e6)

    def totals(self) -> tuple[int, float, int, float]:
        return self._events, float(self._seconds) / 1e6, self._answers, float(self._score) / 1e6


def _daily(  # one for each column
    user_id: str, course_id: str, day: str, *totals: float
) -> Row:
    values = dict(zip(_DAILY, (user_id, course_id, day, *totals), strict=True))
    return Row("daily_activity", f"{user_id}|{course_id}|{day}", values)


def _id(user_id: str, day: str, event_id: str) -> str:
    return f"{user_id}|{day}|{event_id}"


def _holds_whole_seconds(client: Client) -> bool:
    types = client.execute(
        "SELECT type FROM system.columns WHERE database = currentDatabase() "
        "AND table = 'events' AND name = 'occurred_at'"
    )
    return not all(type_.startswith("DateTime64") for (type_,) in types)
