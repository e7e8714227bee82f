"""What PostgreSQL answers: labels over time, thresholds in force, a learner's decisions, how they
were delivered, chat sessions, and all of one trace."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from queries.answers import LabelsGiven, SessionSummary, ThresholdInForce, TraceAnswer
from queries.deliveries import SELECTED, delivery_of
from schemas.decision import Decision, decision_adapter
from schemas.delivery import Delivery
from schemas.fields import TreeId
from sinks.postgres_rows import names_of
from sinks.postgres_tables import DECISION_LOG

_THRESHOLD = ", ".join(ThresholdInForce._fields)


class LearnerSummary(NamedTuple):
    """A learner across courses: the source's analytics row. ``avg_score`` 0–1."""

    user_id: str
    total_courses: int
    avg_score: float
    dominant_format: str | None
    last_activity_date: date | None


async def labels_given(
    connection: asyncpg.Connection, since: datetime, until: datetime, tree_id: TreeId | None = None
) -> list[LabelsGiven]:
    """How often each label was given on each UTC day, from ``since`` to before ``until``."""
    found = await connection.fetch(
        """
        SELECT ("timestamp" AT TIME ZONE 'UTC')::date AS day, tree_id, decision_label,
               count(*) AS decisions
        FROM decisions
        WHERE "timestamp" >= $1 AND "timestamp" < $2 AND ($3::text IS NULL OR tree_id = $3)
        GROUP BY 1, 2, 3
        ORDER BY day, tree_id COLLATE "C", decision_label COLLATE "C"
        """,
        since,
        until,
        tree_id,
    )
    return [LabelsGiven(*row) for row in found]


async def thresholds_at_decision(
    connection: asyncpg.Connection, decision_id: str
) -> list[ThresholdInForce]:
    """Every rule of the version that made the decision, the tree's root first."""
    if not _is_uuid(decision_id):
        return []
    columns = ", ".join(f"in_force.{name}" for name in ThresholdInForce._fields)
    found = await connection.fetch(
        f"""
        SELECT {columns}
        FROM decisions AS made JOIN thresholds_by_version AS in_force
          ON in_force.tree_id = made.tree_id AND in_force.version = made.decision_version
        WHERE made.decision_id = $1 ORDER BY in_force.node
        """,  # noqa: S608  # names are ours
        decision_id,
    )
    return [ThresholdInForce(*row) for row in found]


async def thresholds_in_force(
    connection: asyncpg.Connection, tree_id: TreeId, at: datetime
) -> list[ThresholdInForce]:
    """Every rule of the highest version made until then, or of version 0; the root first."""
    found = await connection.fetch(
        f"""
        SELECT {_THRESHOLD} FROM thresholds_by_version
        WHERE tree_id = $1 AND version =
            (SELECT coalesce(max(version), 0) FROM tree_versions
             WHERE tree_id = $1 AND created_at <= $2)
        ORDER BY node
        """,  # noqa: S608  # names are ours
        tree_id,
        at,
    )
    return [ThresholdInForce(*row) for row in found]


async def decisions_of(
    connection: asyncpg.Connection, user_id: str, limit: int = 100
) -> list[Decision]:
    """A learner's latest decisions, at most ``limit``, the oldest of them first."""
    if not _is_uuid(user_id):
        return []
    found = await connection.fetch(
        f"""
        SELECT {names_of(DECISION_LOG)} FROM decisions WHERE user_id = $1
        ORDER BY "timestamp" DESC, decision_id DESC LIMIT $2
        """,  # noqa: S608  # names are ours
        user_id,
        limit,
    )
    return [_decision(row) for row in reversed(found)]


async def deliveries_of(
    connection: asyncpg.Connection, user_id: str, limit: int = 100
) -> list[Delivery]:
    """A learner's latest attempts at delivery, at most ``limit``, the oldest of them first.

    Each with the status that was told last.
    """
    if not _is_uuid(user_id):
        return []
    found = await connection.fetch(
        f"""
        SELECT {SELECTED} FROM deliveries WHERE user_id = $1
        ORDER BY delivery_timestamp DESC, delivery_id DESC, attempt DESC LIMIT $2
        """,  # noqa: S608  # names are ours
        user_id,
        limit,
    )
    return [delivery_of(row) for row in reversed(found)]


async def trace(connection: asyncpg.Connection, trace_id: str) -> TraceAnswer:
    """All that came of the event with that trace: 32 hex digits, in either case."""
    known = trace_id.lower()
    if not _is_uuid(known):
        return TraceAnswer(known, [], [])
    decisions = await connection.fetch(
        f"""
        SELECT {names_of(DECISION_LOG)} FROM decisions WHERE substr(traceparent, 4, 32) = $1
        ORDER BY "timestamp", tree_id COLLATE "C", decision_id
        """,  # noqa: S608  # names are ours
        known,
    )
    deliveries = await connection.fetch(
        f"""
        SELECT {SELECTED} FROM deliveries WHERE trace_id = $1
        ORDER BY delivery_timestamp, decision_tree_id COLLATE "C", delivery_id, attempt
        """,  # noqa: S608  # names are ours
        known,
    )
    return TraceAnswer(known, [*map(_decision, decisions)], [*map(delivery_of, deliveries)])


async def sessions_of(
    connection: asyncpg.Connection, user_id: str, limit: int = 100
) -> list[SessionSummary]:
    """A learner's latest chat sessions, at most ``limit``, the oldest of them first."""
    if not _is_uuid(user_id):
        return []
    columns = ", ".join(SessionSummary._fields)
    found = await connection.fetch(
        f"""
        SELECT {columns} FROM chat_session_summaries WHERE user_id = $1
        ORDER BY last_message_at DESC, session_id DESC LIMIT $2
        """,  # noqa: S608  # names are ours
        user_id,
        limit,
    )
    return [_session(row) for row in reversed(found)]


async def summary_of(connection: asyncpg.Connection, user_id: str) -> LearnerSummary | None:
    """None for a learner who has done nothing yet."""
    if not _is_uuid(user_id):
        return None
    columns = ", ".join(LearnerSummary._fields)
    found = await connection.fetchrow(
        f"SELECT {columns} FROM learner_summaries WHERE user_id = $1",  # noqa: S608  # names are ours
        user_id,
    )
    return None if found is None else LearnerSummary(str(found[0]), *found[1:])


def _session(row: Any) -> SessionSummary:
    told: list[Any] = [tuple(value) if isinstance(value, list) else value for value in row]
    return SessionSummary(*told)


def _decision(row: Any) -> Decision:
    values = dict(row)
    for column in DECISION_LOG.columns:
        value = values[column.name]
        if column.type == "UUID":
            values[column.name] = str(value)
        elif column.type == "JSONB" and value is not None:
            values[column.name] = orjson.loads(value)
    return decision_adapter.validate_python(values)


def _is_uuid(text: str) -> bool:
    """Who is no UUID is nobody, and has nothing."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True
