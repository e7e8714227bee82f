"""Brings a database's tables to what this program needs, from an empty one or an older one.

Alembic keeps the migrations in order and renders them; asyncpg runs them: one transaction, so all
or nothing, and one process at a time.
"""

from __future__ import annotations

import io
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from schemas.errors import StoreUnavailable
from sinks.postgres_connection import transaction

_MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "learner_schema_version"
_LOCK = 0x6C_65_61_72_6E_65_72  # "learner": a number that other programs' locks hardly have
MIGRATION_SECONDS = 3600.0
"""An index on a full table takes minutes, whatever a single request may take."""


async def upgrade(connection: asyncpg.Connection, to: str = "head") -> None:
    """Runs the migrations that the database has not seen; once there are none it only asks.

    Args:
        to: a revision, such as "0001"; the newest, if not given.

    Raises:
        StoreUnavailable: the tables were made by a newer program, or hold what a migration would
            throw away.
    """
    scripts = ScriptDirectory.from_config(alembic_config())
    wanted = scripts.get_current_head() if to == "head" else to
    if await revision(connection) == wanted:
        return
    async with transaction(connection):
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        found = await revision(connection)
        if found == wanted:
            return
        _known(scripts, found)
        try:
            await connection.execute(migrations(found, to), timeout=MIGRATION_SECONDS)
        except asyncpg.RaiseError as refused:  # a migration's own words
            raise StoreUnavailable(
                f"the tables in PostgreSQL stay as they are: {refused}"
            ) from None


async def revision(connection: asyncpg.Connection) -> str | None:
    """Of the database's tables; None before the first migration."""
    # to_regclass() would remember, for a whole transaction, that there was no such table.
    sql = "SELECT count(*) FROM pg_class WHERE relname = $1 AND pg_table_is_visible(oid)"
    if not await connection.fetchval(sql, VERSION_TABLE):
        return None
    # The name is ours.
    found: str | None = await connection.fetchval(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608
    return found


def revisions() -> list[str]:
    """Every revision that this program knows, the oldest first."""
    scripts = ScriptDirectory.from_config(alembic_config())
    return [script.revision for script in scripts.walk_revisions()][::-1]


def migrations(found: str | None, to: str) -> str:
    """The SQL that leads from one revision to another."""
    written = io.StringIO()
    command.upgrade(alembic_config(written), to if found is None else f"{found}:{to}", sql=True)
    return written.getvalue()


def _known(scripts: ScriptDirectory, found: str | None) -> None:
    try:
        scripts.get_revision(found or "base")
    except CommandError:
        raise StoreUnavailable(
            f"the tables in PostgreSQL are of revision {found!r}, which this program does not "
            f"know: use the one that made them, or a newer one"
        ) from None


def alembic_config(written: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=written or io.StringIO())
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("version_table", VERSION_TABLE)
    return config
