"""PostgreSQL rebuilt in a schema beside the live one; the tables change places in one transaction.

``learner_rebuild`` has the new tables until then, ``learner_before_<UTC time>`` the old ones
afterwards. What no topic feeds (`service_keys`, the schema's version) stays where it is. Who may
read the old tables may read the new ones; views that others made go on showing the old.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg

from config.settings import PostgresSettings
from schemas.errors import EditRefused, StoreUnavailable
from sinks.beside import KeptOut, stamp
from sinks.postgres import PostgresSink
from sinks.postgres_connection import answering, connect
from sinks.postgres_schema import MIGRATION_SECONDS, VERSION_TABLE, upgrade
from sinks.postgres_tables import (
    CHAT_SUMMARIES,
    DECISION_LOG,
    DELIVERIES,
    PROFILES,
    PROMPTS,
    RETRAINING_LOG,
    SUMMARIES,
    TABLES,
    THRESHOLDS,
    VERSIONS,
)

_BESIDE = "learner_rebuild"
_BEFORE = "learner_before_"
_LOCK = 0x72_65_62_75_69_6C_64  # "rebuild"
_OLDEST = {
    DECISION_LOG.name: "timestamp",
    DELIVERIES.name: "delivery_timestamp",
    CHAT_SUMMARIES.name: "started_at",
}
"""When what stands there happened; of what is made from topics that Kafka cuts."""

_FED = [table.name for table in TABLES]
_IN_ORDER = [
    table.name
    for table in (
        VERSIONS, THRESHOLDS, RETRAINING_LOG, PROFILES, SUMMARIES, PROMPTS, DECISION_LOG,
        DELIVERIES, CHAT_SUMMARIES,
    )
]  # fmt: skip
"""As the sink comes to them in its transactions: locked so, neither waits for the other."""

_LOCK_MS = 500
_PAUSE_SECONDS = 0.5
_TRIES = 60

_RELATIONS = """
SELECT relname, relkind = 'v' AS is_view FROM pg_class
WHERE relnamespace = $1::text::regnamespace AND (relname = ANY($2) OR relkind = 'v')
ORDER BY relname
"""

_GRANTS = """
SELECT c.relname, acl.privilege_type, acl.is_grantable,
    CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END AS who
FROM pg_class AS c, aclexplode(c.relacl) AS acl
WHERE c.relnamespace = $1::text::regnamespace AND c.relname = ANY($2) AND acl.grantee <> c.relowner
"""


class PostgresBeside:
    """One connection, which holds a lock that keeps other rebuilds out until it is closed."""

    name = PostgresSink.name
    kept_out = KeptOut.LOCKED

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._connection: asyncpg.Connection | None = None

    async def oldest(self) -> datetime | None:
        with answering(self._settings):
            connection = await self._connected()
            await upgrade(connection)
            there = await _tables(connection, await _live_schema(connection))
            found = [
                await connection.fetchval(
                    f'SELECT min("{column}") FROM {table}',  # noqa: S608  # names are ours
                    timeout=MIGRATION_SECONDS,  # no index serves all of them
                )
                for table, column in _OLDEST.items()
                if table in there
            ]
        return min((at for at in found if at is not None), default=None)

    async def begin(self) -> PostgresSink:
        with answering(self._settings):
            connection = await self._connected()
            await upgrade(connection)
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                raise EditRefused("somebody else is rebuilding postgres now: wait until it is done")
            await connection.execute(f"DROP SCHEMA IF EXISTS {_BESIDE} CASCADE")
            await connection.execute(f"CREATE SCHEMA {_BESIDE}")
        return PostgresSink(self._settings, _BESIDE)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """One transaction, which `switch` is part of. Who reads waits as well, a second or so: a
        lock that let readers in would have to be made stronger at the switch, which ends in a
        deadlock with whoever has read one table and waits for another."""
        with answering(self._settings):
            connection = await self._connected()
            transaction = await self._locked(connection, await _live_schema(connection))
            try:
                yield
                await transaction.commit()
            except BaseException:
                if not connection.is_closed():
                    await transaction.rollback()
                raise

    async def _locked(
        self, connection: asyncpg.Connection, live: str
    ) -> asyncpg.transaction.Transaction:
        """Begun once the tables are ours. We give up before PostgreSQL looks for deadlocks, so that
        nobody else is ended for one."""
        views = await connection.fetch(_RELATIONS, live, [])
        new = {name for name, _ in await connection.fetch(_RELATIONS, _BESIDE, [])}
        there = await _tables(connection, live)
        names = [name for name, _ in views if name in new]
        names += [name for name in _IN_ORDER if name in there]
        tables = ", ".join(f'{live}."{name}"' for name in names)
        for _ in range(_TRIES):
            transaction = connection.transaction()
            await transaction.start()
            try:
                await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_MS}ms'")
                await connection.execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
                await connection.execute("SET LOCAL lock_timeout = 0")
                return transaction
            except asyncpg.LockNotAvailableError:
                await transaction.rollback()
            await asyncio.sleep(_PAUSE_SECONDS)
        raise StoreUnavailable(
            "PostgreSQL: somebody has been reading or writing our tables in one transaction for "
            f"{_TRIES * (_LOCK_MS / 1000 + _PAUSE_SECONDS):.0f} s; run this again. Nothing was "
            "switched"
        )

    async def switch(self) -> str:
        connection = await self._connected()
        live = await _live_schema(connection)
        before = f"{_BEFORE}{stamp(datetime.now(UTC))}"
        await connection.execute(f"CREATE SCHEMA {before}")
        new = await connection.fetch(_RELATIONS, _BESIDE, _FED)
        ours = {name for name, _ in new}
        grants = await connection.fetch(_GRANTS, live, list(ours))
        for name, is_view in await connection.fetch(_RELATIONS, live, _FED):
            if name in ours:
                await _move(connection, live, name, before, is_view=is_view)
        for name, is_view in new:
            await _move(connection, _BESIDE, name, live, is_view=is_view)
        for name, privilege, grantable, who in grants:
            option = " WITH GRANT OPTION" if grantable else ""
            await connection.execute(f"GRANT {privilege} ON {live}.{name} TO {who}{option}")
        await connection.execute(f"DROP SCHEMA {_BESIDE} CASCADE")
        return before

    async def old(self) -> list[str]:
        with answering(self._settings):
            found = await (await self._connected()).fetch(
                "SELECT nspname FROM pg_namespace WHERE nspname ~ $1 ORDER BY nspname",
                f"^{_BEFORE}[0-9]{{14}}$",
            )
        return [name for (name,) in found]

    async def drop_old(self, name: str) -> None:
        with answering(self._settings):
            await (await self._connected()).execute(f"DROP SCHEMA {name} CASCADE")

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._settings)
        return self._connection


async def _live_schema(connection: asyncpg.Connection) -> str:
    """Quoted where it has to be."""
    schema: str = await connection.fetchval(
        "SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass($1)",
        VERSION_TABLE,
    )
    return schema


async def _tables(connection: asyncpg.Connection, live: str) -> set[str]:
    """Those that are there: what somebody has dropped comes back by a rebuild."""
    found = await connection.fetch(_RELATIONS, live, _FED)
    return {name for name, is_view in found if not is_view}


async def _move(
    connection: asyncpg.Connection, from_: str, name: str, to: str, *, is_view: bool
) -> None:
    kind = "VIEW" if is_view else "TABLE"
    await connection.execute(f'ALTER {kind} {from_}."{name}" SET SCHEMA {to}')
