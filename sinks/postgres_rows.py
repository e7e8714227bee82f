"""How rows get into a table: each once, or the newest of each key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import asyncpg

from sinks.postgres_connection import transaction
from sinks.postgres_table import Table, Values


async def keep_each_once(
    connection: asyncpg.Connection, table: Table, values: Sequence[Values]
) -> None:
    """By PostgreSQL's fastest way in; the slower one only where some stand there already."""
    try:
        async with transaction(connection):
            await copy(connection, table.name, table, values)
    except asyncpg.UniqueViolationError:
        await _merge(connection, table, values, "DO NOTHING")


async def keep_newest(
    connection: asyncpg.Connection, table: Table, values: Sequence[Values], newest_by: str
) -> None:
    """Of each key the row whose column ``newest_by`` is highest; ``values``: one for each key."""
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in table.names)
    conflict = (
        f"({', '.join(table.key)}) DO UPDATE SET {changed} "
        f"WHERE excluded.{newest_by} > kept.{newest_by}"
    )
    await _merge(connection, table, values, conflict)


async def _merge(
    connection: asyncpg.Connection, table: Table, values: Sequence[Values], conflict: str
) -> None:
    """Through a table of this connection's own, emptied at each commit.

    In the order of the key, so that two writers wait for each other in one direction only.
    """
    if not values:
        return
    names = names_of(table)
    incoming = f"incoming_{table.name}"
    await connection.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {incoming} (LIKE {table.name}) ON COMMIT DELETE ROWS"
    )
    await copy(connection, incoming, table, values)
    await connection.execute(
        f"INSERT INTO {table.name} AS kept ({names}) SELECT {names} FROM {incoming} "  # noqa: S608  # names are ours
        f"ORDER BY {', '.join(table.key)} ON CONFLICT {conflict}"
    )


async def copy(
    connection: asyncpg.Connection, into: str, table: Table, values: Iterable[Values]
) -> None:
    """Rows are made while the server takes in those before them."""
    await connection.copy_records_to_table(into, records=table.rows(values), columns=table.names)


def names_of(table: Table) -> str:
    """The columns, for SQL."""
    return ", ".join(f'"{name}"' for name in table.names)
