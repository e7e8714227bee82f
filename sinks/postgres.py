"""`PostgresSink`: profiles, summaries, the decision log, tree versions with their thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import asyncpg

from config.settings import PostgresSettings
from schemas.topics import DECISIONS, TREE_VERSIONS
from sinks.contract import SinkRecord
from sinks.postgres_connection import answering, connect, transaction
from sinks.postgres_schema import upgrade
from sinks.postgres_tables import (
    DECISION_LOG,
    PROFILES,
    RETRAINING_LOG,
    SUMMARIES,
    THRESHOLDS,
    VERSIONS,
    Table,
    Values,
)

_STATES = (PROFILES, SUMMARIES)


class PostgresSink:
    """A batch is one transaction on one connection, made anew when it is lost."""

    name = "postgres"
    topics = (DECISIONS, PROFILES.topic, SUMMARIES.topic, TREE_VERSIONS)

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._connection: asyncpg.Connection | None = None

    async def setup(self) -> None:
        """Runs the migrations that the database has not seen."""
        with answering(self._settings):
            await upgrade(await self._connected())

    async def write(self, batch: Sequence[SinkRecord]) -> None:
        """All of the batch, or nothing."""
        with answering(self._settings):
            await write_batch(await self._connected(), batch)

    async def close(self) -> None:
        """Nothing is under way between two writes, so there is nothing to wait for."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._settings)
        return self._connection


async def write_batch(connection: asyncpg.Connection, batch: Sequence[SinkRecord]) -> None:
    """Keeps the records in one transaction: versions first, the log last."""
    by_topic: dict[str, list[SinkRecord]] = {}
    for record in batch:
        by_topic.setdefault(record.topic, []).append(record)
    async with transaction(connection):
        for record in by_topic.get(TREE_VERSIONS, ()):
            if record.value is not None:
                await _keep_version(connection, record.value)
        for table in _STATES:
            if table.topic in by_topic:
                await _keep_newest(connection, table, by_topic[table.topic])
        if DECISIONS in by_topic:
            decisions = [record.value for record in by_topic[DECISIONS] if record.value is not None]
            await _keep_each_once(connection, DECISION_LOG, decisions)


async def _keep_version(connection: asyncpg.Connection, document: Values) -> None:
    """The first document that has a number keeps it, with its thresholds and its log."""
    (row,) = VERSIONS.rows([document])
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    sql = (
        f"INSERT INTO {VERSIONS.name} ({_names(VERSIONS)}) VALUES ({places}) "  # noqa: S608  # names are ours
        "ON CONFLICT DO NOTHING RETURNING version"
    )
    if await connection.fetchval(sql, *row) is not None:
        for table in (THRESHOLDS, RETRAINING_LOG):
            await _copy(connection, table.name, table, [document])


async def _keep_newest(
    connection: asyncpg.Connection, table: Table, records: Iterable[SinkRecord]
) -> None:
    """Of each learner the state that has folded most; a deletion deletes."""
    newest: dict[str, SinkRecord] = {}
    for record in records:
        held = newest.get(record.key)
        if held is None or _is_newer(record, held):
            newest[record.key] = record
    states = [record.value for record in newest.values() if record.value is not None]
    gone = [key for key, record in newest.items() if record.value is None]
    if gone:
        await connection.execute(
            f"DELETE FROM {table.name} WHERE user_id = ANY($1::uuid[])",  # noqa: S608  # names are ours
            gone,
        )
    changed = ", ".join(f"{_quoted(name)} = excluded.{_quoted(name)}" for name in table.names)
    await _merge(
        connection,
        table,
        states,
        f"(user_id) DO UPDATE SET {changed} WHERE excluded.source_offset > kept.source_offset",
    )


def _is_newer(record: SinkRecord, held: SinkRecord) -> bool:
    if record.value is None or held.value is None:
        return record.offset > held.offset
    newer: bool = record.value["offset"] >= held.value["offset"]
    return newer


async def _keep_each_once(
    connection: asyncpg.Connection, table: Table, values: Sequence[Values]
) -> None:
    """By PostgreSQL's fastest way in; the slower one only where some stand there already."""
    try:
        async with transaction(connection):
            await _copy(connection, table.name, table, values)
    except asyncpg.UniqueViolationError:
        await _merge(connection, table, values, "DO NOTHING")


async def _merge(
    connection: asyncpg.Connection, table: Table, values: Sequence[Values], conflict: str
) -> None:
    """Through a table of this connection's own, emptied at each commit.

    In the order of the key, so that two writers wait for each other in one direction only.
    """
    if not values:
        return
    names = _names(table)
    incoming = f"incoming_{table.name}"
    await connection.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {incoming} (LIKE {table.name}) ON COMMIT DELETE ROWS"
    )
    await _copy(connection, incoming, table, values)
    await connection.execute(
        f"INSERT INTO {table.name} AS kept ({names}) SELECT {names} FROM {incoming} "  # noqa: S608  # names are ours
        f"ORDER BY {', '.join(table.key)} ON CONFLICT {conflict}"
    )


async def _copy(
    connection: asyncpg.Connection, into: str, table: Table, values: Iterable[Values]
) -> None:
    """Rows are made while the server takes in those before them."""
    await connection.copy_records_to_table(into, records=table.rows(values), columns=table.names)


def _names(table: Table) -> str:
    return ", ".join(map(_quoted, table.names))


def _quoted(name: str) -> str:
    return f'"{name}"'
