"""Deliveries, chat sessions, prompt sets in PostgreSQL: in any order, told again, two writers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import asyncpg
import pytest

from audit.comparison import Comparison, TableReport
from audit.postgres import PostgresAudit
from config.settings import PostgresSettings
from schemas.chat import ENDED, JOINED
from schemas.errors import RecordRefused, StoreUnavailable
from schemas.topics import CHAT, DELIVERY_LOG, PROMPT_SETS
from servers.postgres import new_database
from servers.store_server import StoreServer
from sink_suite.contract_tests import assert_equal, contents, expected
from sink_suite.stream_records import stream_records
from sinks.contract import SinkRecord
from sinks.postgres import PostgresSink, write_batch
from sinks.postgres_connection import answering, connected
from sinks.postgres_schema import upgrade


@pytest.fixture
async def settings(postgres_server: StoreServer) -> AsyncIterator[PostgresSettings]:
    async with new_database(postgres_server) as settings:
        async with connected(settings) as connection:
            await upgrade(connection)
        yield settings


@pytest.fixture
async def database(settings: PostgresSettings) -> AsyncIterator[asyncpg.Connection]:
    async with connected(settings) as connection:
        yield connection


def of(topic: str) -> list[SinkRecord]:
    return [record for record in stream_records() if record.topic == topic]


def changed(record: SinkRecord, offset: int, **values: Any) -> SinkRecord:
    return record._replace(offset=offset, value={**(record.value or {}), **values})


async def test_of_each_attempt_the_status_told_last_stays(
    database: asyncpg.Connection, settings: PostgresSettings
) -> None:
    records = of(DELIVERY_LOG)
    last = {(r.value["delivery_id"], r.value["attempt"]): r for r in records if r.value}
    await write_batch(database, records)
    await write_batch(database, records[:400][::-1])
    for record in records[:20]:
        await write_batch(database, [record])
    found = await database.fetch("SELECT delivery_id, attempt, response_status FROM deliveries")
    assert {(str(id_), attempt): status for id_, attempt, status in found} == {
        key: record.value["response_status"] for key, record in last.items() if record.value
    }
    assert {status for _, _, status in found} == {
        "pending", "success", "fail", "timeout", "superseded",
    }  # fmt: skip
    assert max(attempt for _, attempt, _ in found) > 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"attempt": 0}, "deliveries_attempt_check"),
        ({"response_status": "lost"}, "deliveries_response_status_check"),
        ({"latency_ms": -1.0}, "deliveries_latency_ms_check"),
        ({"trace_id": "short"}, "deliveries_trace_id_check"),
        ({"decision_id": None}, "not-null"),
    ],
)
async def test_what_is_no_delivery_is_refused(
    settings: PostgresSettings, values: dict[str, object], said: str
) -> None:
    with pytest.raises(RecordRefused, match=said), answering(settings):
        async with connected(settings) as connection:
            await write_batch(connection, [changed(of(DELIVERY_LOG)[0], 0, **values)])


async def test_the_first_prompt_set_with_a_version_stays(
    database: asyncpg.Connection, settings: PostgresSettings
) -> None:
    first = of(PROMPT_SETS)[0]
    other = changed(first, 9, reading_levels={"basic": "other"})
    await write_batch(database, [first, other])
    await write_batch(database, [other])
    assert_equal(
        await contents(PostgresAudit(settings)), expected(PostgresAudit(settings), [first])
    )


async def test_a_message_told_again_changes_no_session(
    database: asyncpg.Connection, settings: PostgresSettings
) -> None:
    records = of(CHAT)
    await write_batch(database, records)
    before = await contents(PostgresAudit(settings))
    writers = await database.fetch("SELECT xmin::text FROM chat_summaries")
    await write_batch(database, records)
    await write_batch(database, records[10:40])
    assert await contents(PostgresAudit(settings)) == before
    assert await database.fetch("SELECT xmin::text FROM chat_summaries") == writers


async def test_two_writers_of_one_session_count_each_message_once(
    settings: PostgresSettings,
) -> None:
    """A sink that has lost its partitions goes on writing for a moment beside their new owner."""
    records = of(CHAT)
    random_ = random.Random(3)

    async def write(sink: PostgresSink) -> None:
        at = 0
        while at < len(records):
            size = random_.randrange(1, 12)
            try:
                await sink.write(records[at : at + size])
            except StoreUnavailable as error:  # tried again, as the runner does
                assert "deadlock" in str(error)  # noqa: PT017
                continue
            at += size
            await asyncio.sleep(random_.random() * 0.003)

    one, other = PostgresSink(settings), PostgresSink(settings)
    try:
        await asyncio.gather(write(one), write(other))
    finally:
        await one.close()
        await other.close()
    audit = PostgresAudit(settings)
    assert_equal(await contents(audit), expected(audit, records))


_OFFSETS = count()


def message(session_id: str, minutes_ago: float, direction: str, **values: Any) -> SinkRecord:
    at = (datetime.now(UTC) - timedelta(minutes=minutes_ago)).isoformat()
    return changed(
        of(CHAT)[0],
        next(_OFFSETS),
        session_id=session_id,
        timestamp=at,
        message_direction=direction,
        feedback_flags=values.get("feedback_flags", []),
        in_reply_to=None,
        responder="" if direction == "user" else values.get("responder", "built-in"),
    )


def session(id_: str, *messages: tuple[float, str, dict[str, Any]]) -> Sequence[SinkRecord]:
    return [message(id_, ago, direction, **values) for ago, direction, values in messages]


def sessions() -> list[tuple[Sequence[SinkRecord], str, str]]:
    """As they are now: what is quiet depends on the clock."""
    return [
        (session("new", (1, "user", {})), "open", "waiting"),
        (session("talk", (2, "user", {}), (1, "system", {})), "open", "answered"),
        (session("left", (50, "user", {}), (31, "user", {})), "quiet", "unanswered"),
        (session("over", (50, "user", {}), (31, "system", {})), "quiet", "answered"),
        (
            session("end", (9, "user", {}), (8, "system", {"feedback_flags": [ENDED]})),
            "ended",
            "unanswered",
        ),
        (
            session(
                "person",
                (9, "user", {}),
                (8, "system", {"feedback_flags": [JOINED], "responder": "expert:ada"}),
                (7, "system", {"responder": "expert:ada"}),
                (6, "system", {"feedback_flags": [ENDED]}),
            ),
            "ended",
            "with_expert",
        ),
        (session("greeting", (29, "system", {})), "open", "no_question"),
    ]


async def test_the_view_says_what_is_so_when_it_is_asked(database: asyncpg.Connection) -> None:
    talks = sessions()
    for records, _, _ in talks:
        await write_batch(database, records)
    found = await database.fetch(
        "SELECT session_id, state, outcome, duration_seconds FROM chat_session_summaries"
    )
    told = {session_id: (state, outcome) for session_id, state, outcome, _ in found}
    assert told == {
        (records[0].value or {})["session_id"]: (state, outcome)
        for records, state, outcome in talks
    }
    seconds = {session_id: duration for session_id, _, _, duration in found}
    assert seconds["person"] == pytest.approx(180, abs=1)
    assert seconds["new"] == 0


TAMPERED = {
    "deliveries": "UPDATE deliveries SET response_status = 'success' "
    "WHERE response_status = 'fail' AND source_offset < 200",
    "chat_summaries": "UPDATE chat_summaries SET turns = turns - 1 WHERE hints > 0",
    "prompt_sets": 'UPDATE prompt_sets SET reading_levels = \'{"basic": "Shout."}\' '
    "WHERE reading_levels = '{}'",
}
DELETED = {
    "deliveries": "DELETE FROM deliveries WHERE attempt = 3",
    "chat_summaries": "DELETE FROM chat_summaries WHERE with_expert",
    "prompt_sets": "DELETE FROM prompt_sets",
}


@pytest.mark.parametrize("table", TAMPERED)
async def test_the_audit_names_what_was_tampered_with(
    database: asyncpg.Connection, settings: PostgresSettings, table: str
) -> None:
    topic = {"deliveries": DELIVERY_LOG, "chat_summaries": CHAT, "prompt_sets": PROMPT_SETS}[table]
    records = of(topic)
    await write_batch(database, records)

    async def audited() -> TableReport:
        audit = PostgresAudit(settings)
        comparison = Comparison(audit.name, audit.tables)
        async for row in audit.stored():
            comparison.stored(row)
        for record in records:
            for row in audit.expected(record):
                comparison.must(row)
        return {report.table: report for report in comparison.reports(first=3)}[table]

    assert (await audited()).in_step
    many = int((await database.execute(TAMPERED[table])).split()[-1])
    assert many > 0
    report = await audited()
    assert (report.missing, report.extra, report.different) == (0, 0, many)
    assert {difference.kind for difference in report.first} == {"different"}
    gone = int((await database.execute(DELETED[table])).split()[-1])
    assert gone > 0
    assert (await audited()).missing == gone
