"""PostgreSQL's tables: each attribute of the source, ranges of the contracts, older schemas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import fields
from typing import Any

import asyncpg
import pytest
from alembic.script import ScriptDirectory

from audit.postgres import PostgresAudit
from config.settings import PostgresSettings
from schemas.decision import Decision, decision_adapter
from schemas.errors import StoreUnavailable
from schemas.profile import WritingMetrics, profile_adapter
from schemas.tree import TreeDocument
from servers.postgres import new_database
from servers.store_server import StoreServer
from sink_suite.contract_tests import assert_equal, contents, expected
from sink_suite.stream_records import stream_records
from sinks.postgres import PostgresSink, write_batch
from sinks.postgres_connection import connected
from sinks.postgres_schema import alembic_config, migrations, revision, upgrade
from sinks.postgres_tables import TABLES, Table

HEAD = ScriptDirectory.from_config(alembic_config()).get_current_head() or ""
SECTIONS = {
    "learner_profiles": """
        user_id age class_year courses_completed gpa learner_purpose format_preference
        format_comfort_rating_text format_comfort_rating_image format_comfort_rating_video
        format_comprehension_score_text format_comprehension_score_image
        format_comprehension_score_video session_preference ui_theme_preference layout_preference
        study_mode learner_level writing_style_category writing_metrics
    """,
    "learner_summaries": "user_id total_courses avg_score dominant_format last_activity_date",
    "decisions": """
        user_id timestamp tree_id input_attributes decision_label llm_prompt_output
        thresholds_at_time flagged_rules_hit retraining_logs decision_version
    """,
    "deliveries": """
        user_id decision_tree_id strategy_label llm_prompt_summary delivery_timestamp
        response_status latency_ms cache_hit trace_id event_source
    """,
    "retraining_log": "date changes_made data_points_used",
    "chat_summaries": "user_id session_id",
}
"""Sections 1, 2 (its row for analytics), 5 and 6 of the source, and what it keeps of chats here."""

USER = "9f7d7065-52db-571f-805a-f169887a94b5"
RECORDS = [r for r in stream_records() if r.topic in PostgresSink.topics]


@pytest.fixture
async def empty(postgres_server: StoreServer) -> AsyncIterator[PostgresSettings]:
    async with new_database(postgres_server) as settings:
        yield settings


@pytest.fixture
async def database(empty: PostgresSettings) -> AsyncIterator[asyncpg.Connection]:
    async with connected(empty) as connection:
        await upgrade(connection)
        yield connection


async def columns(connection: asyncpg.Connection, table: str) -> dict[str, str]:
    """Name → type, as PostgreSQL's own catalogue has them."""
    found = await connection.fetch(
        "SELECT column_name, CASE data_type WHEN 'ARRAY' THEN udt_name ELSE data_type END "
        "FROM information_schema.columns WHERE table_name = $1 AND table_schema = 'public'",
        table,
    )
    return dict(map(tuple, found))


@pytest.mark.parametrize("table", SECTIONS)
async def test_every_attribute_of_the_source_is_a_column(
    database: asyncpg.Connection, table: str
) -> None:
    assert set(SECTIONS[table].split()) - set(await columns(database, table)) == set()


async def test_every_attribute_of_a_decision_and_of_a_version_is_a_column(
    database: asyncpg.Connection,
) -> None:
    in_contract = {field.name for field in fields(Decision)}
    assert in_contract == set(await columns(database, "decisions"))
    assert set(TreeDocument.model_fields) == set(await columns(database, "tree_versions"))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_what_is_written_is_what_the_migrations_made(
    database: asyncpg.Connection, table: Table
) -> None:
    declared = {
        column.name: await database.fetchval(
            "SELECT CASE WHEN typcategory = 'A' THEN typname::text ELSE format_type(oid, NULL) END "
            "FROM pg_type WHERE oid = $1::text::regtype",
            column.type,
        )
        for column in table.columns
    }
    assert await columns(database, table.name) == declared


PROPERTIES: dict[str, dict[str, Any]] = {
    name: next(iter(told.get("anyOf", [told])))
    for name, told in profile_adapter.json_schema()["properties"].items()
    if name in SECTIONS["learner_profiles"].split() and name not in ("user_id", "writing_metrics")
}


async def takes(connection: asyncpg.Connection, column: str, value: object) -> bool:
    """Whether a profile may have this value; nothing is kept."""
    row = {"user_id": USER, "writing_style_category": "unknown", "source_offset": 0, column: value}
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(
            f"INSERT INTO learner_profiles ({', '.join(row)}) VALUES ({places})",  # noqa: S608  # ours
            *row.values(),
        )
    except asyncpg.CheckViolationError:
        return False
    finally:
        await transaction.rollback()
    return True


@pytest.mark.parametrize("column", PROPERTIES)
async def test_a_profile_takes_what_its_contract_takes_and_nothing_else(
    database: asyncpg.Connection, column: str
) -> None:
    told = PROPERTIES[column]
    if "enum" in told:
        good, bad = told["enum"], ["", "another", told["enum"][0].upper()]
    else:
        step = 1 if told["type"] == "integer" else 1e-9
        good = [told["minimum"], told["maximum"]]
        bad = [told["minimum"] - step, told["maximum"] + step]
    assert [value for value in good if not await takes(database, column, value)] == []
    assert [value for value in bad if await takes(database, column, value)] == []


@pytest.mark.parametrize(
    ("figure", "bad"),
    [
        ("avg_sentence_length", "-1"),
        ("type_token_ratio", "1.01"),
        ("pronoun_usage", "-0.1"),
        ("contractions_count", "-1"),
    ],
)
async def test_the_figures_of_how_somebody_writes_have_ranges(
    database: asyncpg.Connection, figure: str, bad: str
) -> None:
    figures = {field.name: "0" for field in fields(WritingMetrics)}
    assert figure in figures

    def metrics(**changed: str) -> str:
        told = {**figures, **changed}
        return "{" + ", ".join(f'"{name}": {value}' for name, value in told.items()) + "}"

    assert await takes(database, "writing_metrics", metrics())
    assert not await takes(database, "writing_metrics", metrics(**{figure: bad}))


async def test_trees_and_event_sources_are_those_of_the_contract(
    database: asyncpg.Connection,
) -> None:
    told = decision_adapter.json_schema()["properties"]
    for column in ("tree_id", "event_source"):
        check = await database.fetchval(
            "SELECT array(SELECT (regexp_matches(pg_get_constraintdef(oid), '''([^'']*)''', "
            "'g'))[1]) FROM pg_constraint WHERE conname = $1",
            f"decisions_{column}_check",
        )
        assert set(check) == set(told[column]["enum"])


async def test_from_the_schema_before_with_data_in_it(empty: PostgresSettings) -> None:
    async with connected(empty) as connection:
        await upgrade(connection, "0003")
        await write_batch(connection, RECORDS)
        assert await revision(connection) == "0003"
        assert await columns(connection, "service_keys") == {}
    sink, audit = PostgresSink(empty), PostgresAudit(empty)
    await sink.setup()
    try:
        assert_equal(await contents(audit), expected(audit, RECORDS))
        await sink.write(RECORDS)
    finally:
        await sink.close()
    assert_equal(await contents(audit), expected(audit, RECORDS))
    async with connected(empty) as connection:
        assert await revision(connection) == HEAD
        assert await columns(connection, "service_keys") != {}


async def test_many_at_once_on_an_empty_database(empty: PostgresSettings) -> None:
    sinks = [PostgresSink(empty) for _ in range(5)]
    try:
        await asyncio.gather(*(sink.setup() for sink in sinks))
    finally:
        for sink in sinks:
            await sink.close()
    async with connected(empty) as connection:
        assert await revision(connection) == HEAD


async def test_a_newer_programs_tables_are_left_alone(empty: PostgresSettings) -> None:
    async with connected(empty) as connection:
        await upgrade(connection)
        await connection.execute("UPDATE learner_schema_version SET version_num = '9999'")
    sink = PostgresSink(empty)
    with pytest.raises(StoreUnavailable, match="'9999'"):
        await sink.setup()
    await sink.close()


async def test_a_migration_that_fails_leaves_nothing(empty: PostgresSettings) -> None:
    async with connected(empty) as connection:
        await connection.execute("CREATE TABLE chat_summaries (mine INTEGER)")
        with pytest.raises(asyncpg.DuplicateTableError):
            await upgrade(connection)
    async with connected(empty) as connection:
        assert await revision(connection) is None
        assert await columns(connection, "decisions") == {}


def test_migrations_are_one_line_and_sql_alone() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    line = [script.revision for script in scripts.walk_revisions()]
    assert line == [f"{number:04}" for number in range(int(HEAD), 0, -1)]
    for script in ("BEGIN", "COMMIT"):
        assert f"{script};" not in migrations(None, "head")  # one transaction, which is ours
