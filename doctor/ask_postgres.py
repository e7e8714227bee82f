"""What PostgreSQL tells of itself; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from urllib.parse import urlsplit

from config.settings import PostgresSettings
from doctor.clocks import measured
from doctor.finding import listed
from doctor.store import StoreFacts, Trouble
from sinks.postgres_connection import connected
from sinks.postgres_schema import revision, revisions

_SAID = """
SELECT extract(epoch FROM clock_timestamp())::float8 AS clock,
       current_setting('server_version') AS version,
       pg_is_in_recovery() AS recovering,
       current_setting('transaction_read_only') = 'on' AS read_only,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_make
"""
_THERE = """
SELECT relname FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
  AND relname = ANY($1)
"""
_REFUSED = """
SELECT relname FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
  AND relname = ANY($1)
  AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
           AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))
"""
TABLES = (
    "chat_summaries", "decisions", "deliveries", "learner_profiles", "learner_summaries",
    "prompt_sets", "retraining_log", "service_keys", "tree_thresholds", "tree_versions",
)  # fmt: skip


async def facts(settings: PostgresSettings, *, has_run: bool) -> StoreFacts:
    """See `StoreFacts`.

    Raises:
        StoreUnavailable: nobody answers, or the server lets nobody in.
    """
    parts = urlsplit(settings.url)
    async with connected(settings) as connection:
        before = time.time()
        said = await connection.fetchrow(_SAID)
        after = time.time()
        found = await revision(connection)
        there = {row["relname"] for row in await connection.fetch(_THERE, TABLES)}
        refused = [row["relname"] for row in await connection.fetch(_REFUSED, TABLES)]
    known = revisions()
    return StoreFacts(
        "postgres",
        parts.netloc.rpartition("@")[2] + parts.path,
        said["version"],
        missing=() if found else ("every table",),
        outdated=outdated(found, known),
        has_run=has_run,
        refusals=refusals(
            recovering=said["recovering"],
            read_only=said["read_only"],
            may_make=said["may_make"] or found == known[-1],
            tables=refused,
        ),
        clock=measured("postgres", before, said["clock"], after),
        troubles=tuple(dropped(there) if found == known[-1] else ()),
        untold=("free disk",),
    )


def dropped(there: Collection[str]) -> Iterator[Trouble]:
    """Tables that no migration would make again, as the database says that it has had them all."""
    gone = [table for table in TABLES if table not in there]
    if gone:
        yield Trouble(
            "tables",
            "wrong",
            f"{listed(gone)}: made once, and not there any more",
            "bring them back from a copy, or drop all of our tables with learner_schema_version, "
            "and fill the store anew: docs/operations.md, A store was lost",
        )


def outdated(found: str | None, known: Sequence[str]) -> str:
    """What is wrong with the revision of the tables; "" if nothing, or if there are none."""
    if found is None or found == known[-1]:
        return ""
    if found not in known:
        return f"of revision {found}, which a newer program than this made: run that one"
    return f"of revision {found}, this program needs {known[-1]}"


def refusals(
    *, recovering: bool, read_only: bool, may_make: bool, tables: Sequence[str]
) -> tuple[str, ...]:
    """Why we could not write there."""
    told = {
        "it is a standby, which takes no writes": recovering,
        "its sessions are read-only (default_transaction_read_only)": read_only and not recovering,
        "this user may not make the tables (CREATE on the schema)": not may_make,
    }
    return (
        *(why for why, so in told.items() if so),
        *(f"this user may not read and write {table}" for table in tables),
    )
