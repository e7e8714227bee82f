"""`PostgresSink`: profiles, summaries, decisions, deliveries, tree versions, chat sessions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter

import asyncpg

from config.settings import PostgresSettings
from schemas.topics import CHAT, DECISIONS, DELIVERY_LOG, PROMPT_SETS, TREE_VERSIONS
from sinks.contract import SinkRecord
from sinks.postgres_chat import keep_sessions
from sinks.postgres_connection import answering, connect, transaction
from sinks.postgres_rows import copy, keep_each_once, keep_newest, names_of
from sinks.postgres_schema import upgrade
from sinks.postgres_table import Table, Values
from sinks.postgres_tables import (
    DECISION_LOG,
    DELIVERIES,
    PROFILES,
    PROMPTS,
    RETRAINING_LOG,
    SUMMARIES,
    THRESHOLDS,
    VERSIONS,
    delivery_values,
)

_STATES = (PROFILES, SUMMARIES)
_ONCE = (PROMPTS, DECISION_LOG)


class PostgresSink:
    """A batch is one transaction on one connection, made anew when it is lost.

    ``schema``: where its tables are, if not where the server looks.
    """

    name = "postgres"
    topics = (
        DECISIONS, PROFILES.topic, SUMMARIES.topic, TREE_VERSIONS, DELIVERY_LOG, CHAT, PROMPT_SETS,
    )  # fmt: skip

    def __init__(self, settings: PostgresSettings, schema: str = "") -> None:
        self._settings = settings
        self._schema = schema
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
            self._connection = await connect(self._settings, self._schema)
        return self._connection


async def write_batch(connection: asyncpg.Connection, batch: Sequence[SinkRecord]) -> None:
    """Keeps the records in one transaction: versions first, so that what names one finds it."""
    by_topic: dict[str, list[SinkRecord]] = {}
    for record in batch:
        by_topic.setdefault(record.topic, []).append(record)
    async with transaction(connection):
        for document in _values(by_topic.get(TREE_VERSIONS, ())):
            await _keep_version(connection, document)
        for table in _STATES:
            if table.topic in by_topic:
                await _keep_states(connection, table, by_topic[table.topic])
        for table in _ONCE:
            if table.topic in by_topic:
                await keep_each_once(connection, table, _values(by_topic[table.topic]))
        if DELIVERY_LOG in by_topic:
            await _keep_deliveries(connection, by_topic[DELIVERY_LOG])
        if CHAT in by_topic:
            await keep_sessions(connection, by_topic[CHAT])


async def _keep_version(connection: asyncpg.Connection, document: Values) -> None:
    """The first document that has a number keeps it, with its thresholds and its log."""
    (row,) = VERSIONS.rows([document])
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    sql = (
        f"INSERT INTO {VERSIONS.name} ({names_of(VERSIONS)}) VALUES ({places}) "  # noqa: S608  # names are ours
        "ON CONFLICT DO NOTHING RETURNING version"
    )
    if await connection.fetchval(sql, *row) is not None:
        for table in (THRESHOLDS, RETRAINING_LOG):
            await copy(connection, table.name, table, [document])


async def _keep_states(
    connection: asyncpg.Connection, table: Table, records: Iterable[SinkRecord]
) -> None:
    """Of each learner the state that has folded most; a deletion deletes what was there before."""
    newest: dict[str, SinkRecord] = {}
    gone: set[str] = set()
    for record in records:
        if record.value is None:
            gone.add(record.key)
        held = newest.get(record.key)
        if held is None or _is_newer(record, held):
            newest[record.key] = record
    if gone:
        await connection.execute(
            f"DELETE FROM {table.name} WHERE user_id = ANY($1::uuid[])",  # noqa: S608  # names are ours
            list(gone),
        )
    await keep_newest(connection, table, _values(newest.values()), "source_offset")


def _is_newer(record: SinkRecord, held: SinkRecord) -> bool:
    if record.value is None or held.value is None:
        return record.offset > held.offset
    newer: bool = record.value["offset"] >= held.value["offset"]
    return newer


async def _keep_deliveries(connection: asyncpg.Connection, records: Iterable[SinkRecord]) -> None:
    """Of each attempt the status that was told last."""
    newest: dict[tuple[str, int], Values] = {}
    for told in sorted(map(delivery_values, records), key=itemgetter("offset")):
        newest[told["delivery_id"], told["attempt"]] = told
    await keep_newest(connection, DELIVERIES, list(newest.values()), "source_offset")


def _values(records: Iterable[SinkRecord]) -> list[Values]:
    return [record.value for record in records if record.value is not None]
