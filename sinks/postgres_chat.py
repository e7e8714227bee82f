"""Chat sessions in PostgreSQL: their summaries go on from where they stand in the table."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from operator import attrgetter
from typing import Any

import asyncpg

from sinks.chat_summary import ChatSummary, folded
from sinks.contract import SinkRecord
from sinks.postgres_rows import keep_newest, names_of
from sinks.postgres_tables import CHAT_SUMMARIES

Session = tuple[str, str]
"""``user_id`` and ``session_id``."""


async def keep_sessions(connection: asyncpg.Connection, records: Iterable[SinkRecord]) -> None:
    """Folds messages into the summaries of their sessions; a message folded before changes none.

    Another writer of the same sessions, which has lost its partitions and does not know yet, waits
    at their rows; whoever comes second finds what the first has folded. Should both wait for each
    other, PostgreSQL ends one of them, whose batch is tried again.
    """
    messages = sorted(
        (record for record in records if record.value is not None), key=attrgetter("offset")
    )
    standing = await _standing(connection, {_session(record) for record in messages})
    changed: dict[Session, ChatSummary] = {}
    for record in messages:
        assert record.value is not None  # noqa: S101  # for mypy: looked at above
        session = _session(record)
        before = changed.get(session) or standing.get(session)
        if before is None or record.offset > before.last_offset:
            changed[session] = folded(before, record.value, record.offset)
    rows = [vars(summary) for summary in changed.values()]
    await keep_newest(connection, CHAT_SUMMARIES, rows, "last_offset")


async def _standing(
    connection: asyncpg.Connection, sessions: Iterable[Session]
) -> dict[Session, ChatSummary]:
    """Locked until the transaction's end; in the order of the key, as they are written."""
    asked = sorted(sessions)
    found = await connection.fetch(
        f"""
        SELECT {names_of(CHAT_SUMMARIES)} FROM chat_summaries
        WHERE (user_id, session_id) IN (SELECT * FROM unnest($1::uuid[], $2::text[]))
        ORDER BY user_id, session_id FOR UPDATE
        """,  # noqa: S608  # names are ours
        [user_id for user_id, _ in asked],
        [session_id for _, session_id in asked],
    )
    summaries = [_summary(row) for row in found]
    return {(summary.user_id, summary.session_id): summary for summary in summaries}


def _summary(row: Any) -> ChatSummary:
    """As it was folded: ids and times as text, lists as tuples."""
    told: dict[str, Any] = {}
    for column in CHAT_SUMMARIES.columns:
        value = row[column.name]
        match column.type:
            case "UUID" if value is not None:
                value = str(value)
            case "TIMESTAMPTZ" if value is not None:
                value = value.astimezone(UTC).isoformat()
            case "TEXT[]":
                value = tuple(value)
        told[column.name] = value
    return ChatSummary(**told)


def _session(record: SinkRecord) -> Session:
    assert record.value is not None  # noqa: S101  # for mypy: who calls has looked
    return record.value["user_id"], record.value["session_id"]
