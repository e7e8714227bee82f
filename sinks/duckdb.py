"""Keeps records in one DuckDB file, which is open only while a batch is being written.

So whoever wants to read the file waits for a moment at most, and needs no server. A batch is one
transaction: a writer that is killed has written all of it or nothing.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import duckdb
import numpy as np
import orjson
import pandas as pd

from config.settings import DuckdbSettings
from schemas.topics import (
    CHAT,
    DEAD_LETTERS,
    DECISIONS,
    DELIVERY_LOG,
    EVENTS,
    EXAMPLES,
    TREE_VERSIONS,
)
from sinks.contract import SinkRecord
from sinks.duckdb_file import connection, writing
from sinks.duckdb_table import OFFSET, PARTITION, RECORD, Column, Key, Table
from sinks.duckdb_tables import TABLES, VIEWS

RETRAINING_TOPICS = (DECISIONS, EXAMPLES, TREE_VERSIONS, DEAD_LETTERS)
ALL = (*RETRAINING_TOPICS, EVENTS, "profile", "behavior", "engagement", DELIVERY_LOG, CHAT)


class Staged(NamedTuple):
    """What a batch does to a table: first ``deleted`` goes, then ``rows`` come."""

    deleted: set[Key]
    rows: dict[Key, SinkRecord]


def stage(table: Table, records: Iterable[SinkRecord]) -> Staged:
    """One record for each key, as the table's ``stays`` says."""
    staged = Staged(set(), {})
    rows = staged.rows
    for record in records:
        key = table.key_of(record)
        if record.value is None:
            rows.pop(key, None)
            staged.deleted.add(key)
        elif key not in rows or table.rank_of(record) > table.rank_of(rows[key]):
            rows[key] = record
    return staged


class DuckdbSink:
    """One writer at a time; ``topics`` says which of the tables there are."""

    name = "duckdb"

    def __init__(self, settings: DuckdbSettings, topics: tuple[str, ...] = ALL) -> None:
        self.topics = topics
        self._file = settings.file
        self._tables = [table for table in TABLES if table.topic in topics]
        self._db: duckdb.DuckDBPyConnection | None = None
        # A write that was cancelled goes on in its thread; closing must not cut it off.
        self._busy = threading.Lock()

    async def setup(self) -> None:
        """Makes the file and its tables. Raises also `InvalidInput`: another program's file."""
        await asyncio.to_thread(self._in_file, self._make)

    async def write(self, batch: Sequence[SinkRecord]) -> None:
        await asyncio.to_thread(self._in_file, self._keep, batch)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _in_file(self, work: Callable[..., None], *arguments: Any) -> None:
        with self._busy:
            if self._db is None:
                self._db = connection()
                # A batch is too little to share: a second thread costs more than it does. And a
                # commit goes into the file at once, not into a log that is copied there later.
                self._db.execute("SET threads = 1; SET checkpoint_threshold = '1KB'")
            try:
                with writing(self._db, self._file):
                    work(self._db, *arguments)
            except BaseException:
                self._let_go()
                raise

    def _make(self, db: duckdb.DuckDBPyConnection) -> None:
        for table in self._tables:
            db.execute(_create(table))
        for view in VIEWS:
            if view.topic in self.topics:
                db.execute(f"CREATE VIEW IF NOT EXISTS {view.name} AS {view.sql}")

    def _keep(self, db: duckdb.DuckDBPyConnection, batch: Sequence[SinkRecord]) -> None:
        for table in self._tables:
            records = [record for record in batch if record.topic == table.topic]
            if records:
                _write(db, table, stage(table, records))

    def _close(self) -> None:
        with self._busy:
            self._let_go()

    def _let_go(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


def _write(db: duckdb.DuckDBPyConnection, table: Table, staged: Staged) -> None:
    """Keeps what stands there already unless its rank is lower."""
    if staged.deleted:
        _delete(db, table, list(staged.deleted))
    keys, rows = list(staged.rows), list(staged.rows.values())
    if not rows:
        return
    standing = dict(_with_keys(db, table, keys, _standing(table)).fetchall())
    newer = {n for n, rank in standing.items() if table.rank_of(rows[n]) > rank}
    if newer:
        _delete(db, table, [keys[n] for n in newer])
    if standing:
        rows = [row for n, row in enumerate(rows) if n in newer or n not in standing]
    raws = np.empty(len(rows), dtype=object)
    raws[:] = [row.raw for row in rows]
    places = {"partition": [row.partition for row in rows], "offset": [row.offset for row in rows]}
    db.register("records", pd.DataFrame({"raw": raws, **places}))
    db.execute(_insert(table))
    db.unregister("records")


def _delete(db: duckdb.DuckDBPyConnection, table: Table, keys: list[Key]) -> None:
    _with_keys(db, table, keys, f"DELETE FROM {table.name} AS t USING keys WHERE {_same(table)}")  # noqa: S608  # names are ours


def _with_keys(
    db: duckdb.DuckDBPyConnection, table: Table, keys: list[Key], sql: str
) -> duckdb.DuckDBPyConnection:
    """Runs ``sql``, which sees the keys as a table ``keys`` with their place ``n`` in the list."""
    columns = zip(table.key, zip(*keys, strict=True), strict=True)
    frame = pd.DataFrame({name: np.array(values, dtype=object) for name, values in columns})
    db.register("keys", frame.assign(n=range(len(keys))))
    return db.execute(sql)


@functools.cache
def _create(table: Table) -> str:
    columns = ", ".join(_declared(column) for column in table.columns)
    return f"CREATE TABLE IF NOT EXISTS {table.name} ({columns})"


def _declared(column: Column) -> str:
    rule = "" if column.optional else " NOT NULL"
    return f'"{column.name}" {column.type}{rule}' + (column.check and f" CHECK ({column.check})")


@functools.cache
def _standing(table: Table) -> str:
    rank = {"first": "0", "lowest": '-t."offset"'}.get(table.stays, 't."offset"')
    return f"SELECT keys.n, {rank} FROM keys JOIN {table.name} AS t ON {_same(table)}"  # noqa: S608  # names are ours


def _same(table: Table) -> str:
    return " AND ".join(f"t.{k} = CAST(keys.{k} AS {table.types[k]})" for k in table.key)


@functools.cache
def _insert(table: Table) -> str:
    """DuckDB takes the records apart itself; what does not fit its column is refused."""
    wanted = {
        column.field: {"JSON": "JSON", "VARCHAR[]": ["VARCHAR"]}.get(column.type, "VARCHAR")
        for column in table.columns
        if column.field not in {RECORD, PARTITION, OFFSET}
    }
    values = ", ".join(f"CAST({_source(column)} AS {column.type})" for column in table.columns)
    return (
        f"INSERT INTO {table.name} SELECT {values} FROM (SELECT *, "  # noqa: S608  # names are ours
        f"json_transform(decode(raw), '{orjson.dumps(wanted).decode()}') AS r FROM records)"
    )


def _source(column: Column) -> str:
    places = {RECORD: "decode(raw)", PARTITION: '"partition"', OFFSET: '"offset"'}
    return places.get(column.field, f'r."{column.field}"')
