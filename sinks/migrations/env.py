"""Alembic's entry: renders migrations as SQL, which ``sinks.postgres_schema`` runs by asyncpg."""

from __future__ import annotations

from alembic import context

context.configure(
    dialect_name="postgresql", version_table=context.config.get_main_option("version_table")
)
context.run_migrations()
