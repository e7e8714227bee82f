"""How decisions were delivered, chat sessions, all of one trace: PostgreSQL, the file, typed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from cli.main import app
from config.settings import DuckdbSettings
from queries import duckdb
from queries.answers import SessionSummary, TraceAnswer
from queries.chat_sessions import QUIET, sessions
from queries.postgres import deliveries_of, sessions_of, trace
from schemas.decision import decision_adapter
from schemas.delivery import Delivery, delivery_adapter
from schemas.topics import CHAT, DECISIONS, DELIVERY_LOG
from servers.postgres import new_database
from servers.store_server import StoreServer
from sink_suite.stream_records import stream_records
from sinks.contract import SinkRecord
from sinks.duckdb import DuckdbSink
from sinks.postgres import write_batch
from sinks.postgres_connection import connected
from sinks.postgres_schema import upgrade
from streams.trace import trace_id_of

NOBODY = "00000000-0000-0000-0000-000000000000"
RECORDS = [r for r in stream_records() if r.topic in {CHAT, DECISIONS, DELIVERY_LOG}]
Message = dict[str, Any]


def of(topic: str) -> list[SinkRecord]:
    return [record for record in RECORDS if record.topic == topic]


def by_learner(topic: str) -> dict[str, list[Message]]:
    values = [record.value for record in of(topic) if record.value]

    def learner(value: Message) -> str:
        user_id: str = value["user_id"]
        return user_id

    return {user: list(told) for user, told in groupby(sorted(values, key=learner), learner)}


def last_told() -> list[Delivery]:
    """Of each attempt, in the order in which they were sent."""
    last = {(r.value["delivery_id"], r.value["attempt"]): r for r in of(DELIVERY_LOG) if r.value}
    made = [delivery_adapter.validate_json(record.raw) for record in last.values()]
    return sorted(made, key=lambda d: (d.delivery_timestamp, d.delivery_id, d.attempt))


@pytest.fixture
async def database(postgres_server: StoreServer) -> AsyncIterator[asyncpg.Connection]:
    async with new_database(postgres_server) as settings, connected(settings) as connection:
        await upgrade(connection)
        await write_batch(connection, RECORDS)
        yield connection


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("queries") / "kept.duckdb"

    async def write() -> None:
        sink = DuckdbSink(DuckdbSettings(file=path))
        await sink.setup()
        await sink.write(RECORDS)
        await sink.close()

    asyncio.run(write())
    return path


async def test_a_learners_deliveries_attempt_by_attempt(
    database: asyncpg.Connection, file: Path
) -> None:
    told = last_told()
    users = {delivery.user_id for delivery in told}
    assert len(users) == 12
    for user_id in users:
        mine = [delivery for delivery in told if delivery.user_id == user_id]
        assert {delivery.attempt for delivery in mine} > {1}
        assert await deliveries_of(database, user_id.upper(), 1000) == mine
        assert await deliveries_of(database, user_id, 3) == mine[-3:]
        assert list(duckdb.deliveries_of(file, user_id.upper())) == mine


async def test_all_of_one_trace(database: asyncpg.Connection) -> None:
    decisions = [decision_adapter.validate_json(record.raw) for record in of(DECISIONS)]
    traces = [trace_id_of(decision.traceparent) for decision in decisions[:40]]
    for trace_id in traces:
        must = TraceAnswer(
            trace_id,
            [d for d in decisions if trace_id_of(d.traceparent) == trace_id],
            [d for d in last_told() if d.trace_id == trace_id],
        )
        found = await trace(database, trace_id.upper())
        assert found.decisions == sorted(must.decisions, key=lambda d: d.tree_id)
        assert len(found.deliveries) >= len(found.decisions) > 0
        assert found.deliveries == sorted(
            must.deliveries,
            key=lambda d: (d.delivery_timestamp, d.decision_tree_id, d.delivery_id, d.attempt),
        )
        assert found.trace_id == trace_id


async def test_a_trace_is_found_by_indexes(database: asyncpg.Connection) -> None:
    await database.execute("ANALYZE; SET enable_seqscan = off")
    for where, index in (
        ("decisions WHERE substr(traceparent, 4, 32) = 'x'", "decisions_by_trace"),
        ("deliveries WHERE trace_id = 'x'", "deliveries_by_trace"),
    ):
        plan = await database.fetch(f"EXPLAIN SELECT * FROM {where}")  # noqa: S608  # ours
        assert any(index in line[0] for line in plan)


@pytest.mark.parametrize("ago", [timedelta(days=1), QUIET, -QUIET], ids=str)
def test_a_session_is_quiet_half_an_hour_after_its_last_message(ago: timedelta) -> None:
    message: Any = next(r.value for r in of(CHAT) if r.value and r.value["session_id"] == "talk-4")
    (found,) = sessions([message], datetime.fromisoformat(message["timestamp"]) + ago)
    assert found.state == ("quiet" if ago > QUIET else "open")


async def test_a_learners_sessions(database: asyncpg.Connection, file: Path) -> None:
    now = datetime.now(UTC)
    outcomes = set()
    for user_id, messages in by_learner(CHAT).items():
        found = await sessions_of(database, user_id.upper())
        # PostgreSQL's view, against the same in Python.
        assert found == sessions(messages, now)
        assert await sessions_of(database, user_id, 1) == found[-1:]
        in_time = sorted(
            messages, key=lambda m: (datetime.fromisoformat(m["timestamp"]), m["event_id"])
        )
        assert duckdb.sessions_of(file, user_id, now) == sessions(in_time, now)
        outcomes |= {(session.state, session.outcome) for session in found}
    assert outcomes == {
        ("quiet", "answered"),
        ("quiet", "unanswered"),
        ("quiet", "no_question"),
        ("ended", "with_expert"),
    }


def test_a_session_by_hand() -> None:
    (found,) = (
        session
        for messages in by_learner(CHAT).values()
        for session in sessions(messages, datetime.now(UTC))
        if session.session_id == "talk-0"
    )
    assert found == SessionSummary(
        session_id="talk-0",
        course_id=found.course_id,
        state="ended",
        outcome="with_expert",
        started_at=found.started_at,
        last_message_at=found.started_at + timedelta(seconds=70),
        ended_at=found.started_at + timedelta(seconds=70),
        duration_seconds=70,
        messages=9,
        turns=3,
        answers=3,
        hints=1,
        topics=found.topics,
        skills=found.skills,
        feedback_flags=("resolved",),
        responders=("built-in", "expert:ada"),
        first_label=found.first_label,
        last_label=found.last_label,
        label_changes=found.label_changes,
        first_strategy=found.first_strategy,
        last_strategy=found.last_strategy,
        strategy_changes=found.strategy_changes,
    )
    assert "distributive-law" in found.skills
    assert len(found.topics) == 1


@pytest.mark.parametrize("nobody", [NOBODY, "nobody", "'; DROP TABLE deliveries; --"])
async def test_who_is_nobody_has_nothing(
    database: asyncpg.Connection, file: Path, nobody: str
) -> None:
    assert await deliveries_of(database, nobody) == []
    assert await sessions_of(database, nobody) == []
    assert await trace(database, nobody) == TraceAnswer(nobody.lower(), [], [])
    assert list(duckdb.deliveries_of(file, nobody)) == []
    assert duckdb.sessions_of(file, nobody, datetime.now(UTC)) == []


def learner(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["query", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_deliveries_as_typed(file: Path) -> None:
    last = last_told()[-1]
    code, out, _ = learner("deliveries", last.user_id, "--file", str(file), "--limit", "2")
    assert code == 0
    assert out.count("attempt") == 2
    assert f"{last.strategy_label}  {last.response_status}" in out
    assert f"trace {last.trace_id}" in out
    code, out, _ = learner("deliveries", last.user_id, "--file", str(file), "--json")
    assert delivery_adapter.validate_json(out.splitlines()[-1]) == last


def test_sessions_as_typed(file: Path) -> None:
    user_id = next(
        user
        for user, messages in by_learner(CHAT).items()
        if any(message["session_id"] == "talk-0" for message in messages)
    )
    code, out, _ = learner("sessions", user_id, "--file", str(file))
    assert code == 0
    assert "talk-0  ended, with_expert (" in out
    assert "1 min: 3 by the learner, 3 answers, 1 hints; about " in out
    code, out, _ = learner("sessions", user_id, "--file", str(file), "--json")
    told = [json.loads(line) for line in out.splitlines()]
    assert {session["session_id"]: session["turns"] for session in told}["talk-0"] == 3


@pytest.mark.parametrize("command", ["deliveries", "sessions"])
def test_of_nobody_nothing_is_found(file: Path, command: str) -> None:
    code, out, err = learner(command, NOBODY, "--file", str(file))
    assert (code, out.strip(), err.strip()) == (0, "", "nothing found")
