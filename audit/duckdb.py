"""Audits the DuckDB file: every column of every table, and what its views make of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from audit.rows import Row, plain
from config.settings import DuckdbSettings
from schemas.topics import TREE_VERSIONS
from sinks.contract import SinkRecord
from sinks.duckdb import ALL, DuckdbSink
from sinks.duckdb_file import copied
from sinks.duckdb_table import OFFSET, PARTITION, RECORD, Column, Table, View
from sinks.duckdb_tables import TABLES, VIEWS

_ROWS_AT_ONCE = 2_000

_TOLD: dict[str, Callable[[Any], Any]] = {
    "UUID": UUID,
    "TIMESTAMPTZ": datetime.fromisoformat,
    "DATE": lambda told: told[:10],
    "DOUBLE": float,
}
"""What a record may spell in more than one way."""


class DuckdbAudit:
    """Of a tree version, and of whatever comes again, the first telling stays in the file."""

    name = DuckdbSink.name

    def __init__(self, settings: DuckdbSettings, topics: tuple[str, ...] = ALL) -> None:
        self.topics = topics
        self._file = settings.file
        self._tables = [table for table in TABLES if table.topic in topics]
        self._views = [view for view in VIEWS if view.topic in topics]
        # The key of each.
        self._keys = {table.name: table.key for table in self._tables}
        self._keys |= {view.name: view.key for view in self._views}
        self.tables = tuple(self._keys)

    def expected(self, record: SinkRecord) -> Iterator[Row]:
        for table in self._tables:
            if table.topic == record.topic:
                yield _row(table, record)
        for view in self._views:
            if view.topic == record.topic:
                yield from _seen(view, record)

    async def stored(self) -> AsyncIterator[Row]:
        """Of one instant; the file is free again before the first row is given."""
        wanted: dict[str, tuple[str, tuple[Any, ...]]] = {
            name: (f"SELECT * FROM {name}", ())  # noqa: S608  # names are ours
            for name in self.tables
        }
        with copied(self._file, **wanted) as db:
            for name in self.tables:
                found = db.execute(f"SELECT * FROM temp.{name}")  # noqa: S608  # names are ours
                columns = [(column[0], str(column[1])) for column in found.description]
                while rows := await asyncio.to_thread(found.fetchmany, _ROWS_AT_ONCE):
                    for row in rows:
                        values = {
                            column: _stored(type_, value)
                            for (column, type_), value in zip(columns, row, strict=True)
                        }
                        yield Row(name, _id(self._keys[name], values), values)


def _row(table: Table, record: SinkRecord) -> Row:
    if record.value is None:
        return Row(table.name, record.key, None)
    values = {column.name: _expected(column, record) for column in table.columns}
    return Row(table.name, _id(table.key, values), values)


def _seen(view: View, record: SinkRecord) -> Iterator[Row]:
    """The rows of a view that come of a record: of a version, one for each rule."""
    value = record.value
    if value is None:
        yield Row(view.name, record.key, None)
        return
    rows = [value]
    if view.topic == TREE_VERSIONS:
        at = plain(datetime.fromisoformat(value["created_at"]))
        nodes = enumerate(value["nodes"])
        rows = [{**value, **n, "created_at": at, "node": i} for i, n in nodes if "feature" in n]
    for row in rows:
        values = {name: row[name] for name in view.columns}
        yield Row(view.name, _id(view.key, values), values)


def _expected(column: Column, record: SinkRecord) -> Any:
    assert record.value is not None  # noqa: S101  # for mypy: who calls has looked
    match column.field:
        case field if field == RECORD:
            return record.value
        case field if field == PARTITION:
            return record.partition
        case field if field == OFFSET:
            return record.offset
    told = record.value.get(column.field)
    spelled = _TOLD.get(column.type)
    return told if told is None or spelled is None else plain(spelled(told))


def _stored(type_: str, value: Any) -> Any:
    return orjson.loads(value) if type_ == "JSON" and value is not None else plain(value)


def _id(key: tuple[str, ...], values: dict[str, Any]) -> str:
    return "|".join(str(values[name]) for name in key)
