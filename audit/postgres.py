"""Audits PostgreSQL: every column of every table that the sink fills."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from audit.rows import Row, plain
from config.settings import PostgresSettings
from sinks.chat_summary import ChatSummary, folded
from sinks.contract import SinkRecord
from sinks.postgres import PostgresSink
from sinks.postgres_connection import connected
from sinks.postgres_table import Column, Table, Values
from sinks.postgres_tables import CHAT_SUMMARIES, DELIVERIES, TABLES, delivery_values

_READ_AT_ONCE = 1000

_SPELLED: dict[str, Callable[[Any], Any]] = {"UUID": UUID, "TIMESTAMPTZ": datetime.fromisoformat}
"""What a record may spell in more than one way."""

_READ: dict[str, Callable[[Any], Any]] = {"UUID": str, "JSONB": orjson.loads}
"""What asyncpg gives in a form that ``plain`` does not know."""


_NOT_COMPARED = {(CHAT_SUMMARIES.name, "last_offset")}
"""A replay makes the messages, and does not know where they stand on their topic."""


class PostgresAudit:
    """Compares each cell; a tree version's first telling stays, which the order of records says.

    Of a chat session, `expected` folds the messages that it is given, each once: a message told
    again changes nothing.
    """

    name = PostgresSink.name
    topics = PostgresSink.topics
    tables = tuple(table.name for table in TABLES)

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._sessions: dict[tuple[str, str], ChatSummary] = {}
        self._folded: set[str] = set()

    def expected(self, record: SinkRecord) -> Iterator[Row]:
        for table in TABLES:
            if table.topic != record.topic:
                continue
            if record.value is None:
                yield Row(table.name, record.key, None)
                continue
            for part in table.parts(self._told(table, record)):
                yield _row(table, {c.name: _expected(c, part) for c in _compared(table)})

    def _told(self, table: Table, record: SinkRecord) -> Values:
        """What the columns are filled from."""
        if table is DELIVERIES:
            return delivery_values(record)
        message = record.value or {}
        if table is not CHAT_SUMMARIES:
            return message
        session = (message["user_id"], message["session_id"])
        if message["event_id"] not in self._folded:
            self._folded.add(message["event_id"])
            self._sessions[session] = folded(self._sessions.get(session), message)
        told: Values = plain(vars(self._sessions[session]))
        return told

    async def stored(self) -> AsyncIterator[Row]:
        """Of one instant, table by table."""
        async with (
            connected(self._settings) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            for table in TABLES:
                names = ", ".join(f'"{name}"' for name in table.names)
                sql = f"SELECT {names} FROM {table.name}"  # noqa: S608  # names are ours
                async for found in connection.cursor(sql, prefetch=_READ_AT_ONCE):
                    yield _row(table, {c.name: _stored(c, found[c.name]) for c in _compared(table)})


def _compared(table: Table) -> list[Column]:
    return [c for c in table.columns if (table.name, c.name) not in _NOT_COMPARED]


def _row(table: Table, values: Mapping[str, Any]) -> Row:
    return Row(table.name, ":".join(str(values[name]) for name in table.key), dict(values))


def _expected(column: Column, part: dict[str, Any]) -> Any:
    told = column.told(part)
    spelled = _SPELLED.get(column.type)
    return told if told is None or spelled is None else plain(spelled(told))


def _stored(column: Column, value: Any) -> Any:
    read = _READ.get(column.type)
    return plain(value if value is None or read is None else read(value))
