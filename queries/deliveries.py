"""What PostgreSQL answers about deliveries: a learner's latest by each tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from schemas.delivery import Delivery, delivery_adapter
from schemas.fields import TreeId
from sinks.postgres_tables import DELIVERIES

_FIELDS = tuple(name for name in DELIVERIES.names if name != "source_offset")
_UUIDS = tuple(column.name for column in DELIVERIES.columns if column.type == "UUID")

SELECTED = ", ".join(f'"{name}"' for name in _FIELDS)
"""The columns that `delivery_of` takes."""


async def latest_deliveries(
    connection: asyncpg.Connection, user_id: str, trees: Sequence[TreeId]
) -> dict[TreeId, Delivery]:
    """The learner's latest delivery by each of the trees that has one.

    Args:
        user_id: a UUID.
    """
    found = map(delivery_of, await connection.fetch(_latest(SELECTED), [user_id], list(trees)))
    return {delivery.decision_tree_id: delivery for delivery in found}


async def latest_delivery_ids(
    connection: asyncpg.Connection, users: Sequence[str], trees: Sequence[TreeId]
) -> set[tuple[str, str]]:
    """Learner and ``delivery_id`` of the latest by each of the trees, of many learners at once."""
    found = await connection.fetch(_latest("user_id, delivery_id"), list(users), list(trees))
    return {(str(user_id), str(delivery_id)) for user_id, delivery_id in found}


def delivery_of(row: Mapping[str, Any]) -> Delivery:
    """A row of `SELECTED` as the contract has it."""
    values = dict(row)
    for name in _UUIDS:
        values[name] = str(values[name])
    return delivery_adapter.validate_python(values)


def _latest(columns: str) -> str:
    """By the index on learner and time, however much was sent to a learner.

    One that a newer one superseded was sent before it, or in the same instant and told of before.
    """
    # The names are ours.
    return f"""
        SELECT {columns}
        FROM unnest($1::uuid[]) AS learner CROSS JOIN unnest($2::text[]) AS tree
        CROSS JOIN LATERAL (
            SELECT delivery_timestamp AS at FROM deliveries
            WHERE user_id = learner AND decision_tree_id = tree
            ORDER BY delivery_timestamp DESC LIMIT 1
        ) AS newest
        CROSS JOIN LATERAL (
            SELECT * FROM deliveries
            WHERE user_id = learner AND decision_tree_id = tree AND delivery_timestamp = at
            ORDER BY source_offset DESC LIMIT 1
        ) AS latest
    """  # noqa: S608
