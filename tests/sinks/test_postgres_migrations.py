"""PostgreSQL's tables: each attribute of the source, ranges of the contracts, older schemas."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from alembic.script import ScriptDirectory
from msgspec.structs import fields
from pydantic import TypeAdapter

from audit.postgres import PostgresAudit
from config.settings import PostgresSettings
from schemas.decision import Decision, decision_adapter
from schemas.delivery import Delivery, delivery_adapter
from schemas.errors import StoreUnavailable
from schemas.profile import WritingMetrics, profile_adapter
from schemas.prompt import PromptSet
from schemas.tree import TreeDocument
from servers.postgres import new_database
from servers.store_server import StoreServer
from sink_suite.contract_tests import assert_equal, contents, expected
from sink_suite.stream_records import stream_records
from sinks.chat_summary import ChatSummary
from sinks.postgres import PostgresSink, write_batch
from sinks.postgres_connection import connected
from sinks.postgres_schema import alembic_config, migrations, revision, upgrade
from sinks.postgres_table import Table
from sinks.postgres_tables import TABLES

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
        delivery_id attempt user_id decision_tree_id strategy_label llm_prompt_summary
        delivery_timestamp response_status latency_ms cache_hit trace_id event_source
    """,
    "retraining_log": "date changes_made data_points_used",
    "chat_session_summaries": """
        user_id session_id turns messages duration_seconds topics skills hints feedback_flags
        outcome state first_label last_label first_strategy last_strategy
    """,
    "prompt_sets": "version templates reading_levels",
}
"""Sections 1, 2 (its row for analytics), 5, 6 of the source; chat sessions and prompts."""

USER = "9f7d7065-52db-571f-805a-f169887a94b5"
RECORDS = [r for r in stream_records() if r.topic in PostgresSink.topics]
TOPICS_BEFORE_0005 = ("learner.decisions", "profile", "behavior", "tree.versions")


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


async def test_every_attribute_of_a_delivery_a_summary_and_a_prompt_set_is_a_column(
    database: asyncpg.Connection,
) -> None:
    in_contract = {field.name for field in fields(Delivery)}
    assert in_contract | {"source_offset"} == set(await columns(database, "deliveries"))
    folded = {field.name for field in dataclasses.fields(ChatSummary)}
    assert folded == set(await columns(database, "chat_summaries"))
    named = {field.name for field in fields(PromptSet)}
    assert named == set(await columns(database, "prompt_sets"))


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


@pytest.mark.parametrize(
    ("table", "contract", "column"),
    [
        ("decisions", decision_adapter, "tree_id"),
        ("decisions", decision_adapter, "event_source"),
        ("deliveries", delivery_adapter, "decision_tree_id"),
        ("deliveries", delivery_adapter, "event_source"),
        ("deliveries", delivery_adapter, "response_status"),
    ],
)
async def test_enumerations_are_those_of_the_contract(
    database: asyncpg.Connection, table: str, contract: TypeAdapter[Any], column: str
) -> None:
    told = contract.json_schema()["properties"]
    check = await database.fetchval(
        "SELECT array(SELECT (regexp_matches(pg_get_constraintdef(oid), '''([^'']*)''', "
        "'g'))[1]) FROM pg_constraint WHERE conname = $1",
        f"{table}_{column}_check",
    )
    assert set(check) == set(told[column]["enum"])


async def test_from_the_schema_before_with_data_in_it(empty: PostgresSettings) -> None:
    """As the version before left it: it took none of the topics that have come since."""
    before = [record for record in RECORDS if record.topic in TOPICS_BEFORE_0005]
    async with connected(empty) as connection:
        await upgrade(connection, "0004")
        await write_batch(connection, before)
        assert await revision(connection) == "0004"
        assert "attempt" not in await columns(connection, "deliveries")
    sink, audit = PostgresSink(empty), PostgresAudit(empty)
    await sink.setup()
    try:
        assert_equal(await contents(audit), expected(audit, before))
        await sink.write(RECORDS)
    finally:
        await sink.close()
    assert_equal(await contents(audit), expected(audit, RECORDS))
    async with connected(empty) as connection:
        assert await revision(connection) == HEAD


@pytest.mark.parametrize(
    "somebody_else",
    [
        "INSERT INTO chat_summaries VALUES (gen_random_uuid(), 's', now(), NULL, 1, 'by hand')",
        "INSERT INTO deliveries VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), "
        "'primary_classification', '', '', now(), NULL, 1, false, NULL, 'onboarding')",
    ],
)
async def test_rows_of_somebody_else_are_never_thrown_away(
    empty: PostgresSettings, somebody_else: str
) -> None:
    async with connected(empty) as connection:
        await upgrade(connection, "0004")
        await connection.execute(somebody_else)
        with pytest.raises(StoreUnavailable, match="no version of this program wrote"):
            await upgrade(connection)
    async with connected(empty) as connection:
        assert await revision(connection) == "0004"
        kept = [
            await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  # ours
            for table in ("deliveries", "chat_summaries")
        ]
        assert sum(kept) == 1


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
