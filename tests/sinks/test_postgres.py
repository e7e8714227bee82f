"""PostgreSQL keeps the sink's contract; what is its own: columns, checks, refusals, waiting."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from audit.postgres import PostgresAudit
from config.settings import PostgresSettings
from schemas.errors import InvalidSetting, RecordRefused, StoreUnavailable
from servers.kafka import free_ports
from servers.postgres import new_database, start
from servers.store_server import GivenServer, StoreServer
from sink_suite.contract_tests import (
    Made,
    SinkContract,
    assert_equal,
    contents,
    expected,
    of,
    write,
)
from sinks.contract import SinkRecord
from sinks.postgres import PostgresSink
from sinks.postgres_connection import connected

NOISE = random.Random(1).randbytes(1_800).hex()
"""Too long for an index, and not to be compressed."""


@pytest.fixture
async def settings(postgres_server: StoreServer) -> AsyncIterator[PostgresSettings]:
    async with new_database(postgres_server) as settings:
        yield settings


@pytest.fixture
def made(settings: PostgresSettings) -> Made:
    (port,) = free_ports(1)
    nobody = PostgresSettings(url=f"postgresql://learner@127.0.0.1:{port}/learner")
    return Made(
        sink=lambda: PostgresSink(settings),
        audit=PostgresAudit(settings),
        unreachable=lambda: PostgresSink(nobody),
        refused=lambda record: changed(record, llm_prompt_output="a NUL: \x00"),
    )


class TestPostgres(SinkContract):
    """The suite on a real server."""


def changed(record: SinkRecord, **values: object) -> SinkRecord:
    """The same decision under another id, with other values."""
    assert record.value is not None
    return record._replace(value={**record.value, "decision_id": str(uuid4()), **values})


def first(made: Made, topic: str) -> SinkRecord:
    return next(record for record in of(made) if record.topic == topic)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"decision_version": 2**31}, "int32"),
        ({"decision_version": -1}, "decisions_decision_version_check"),
        ({"tree_id": "another"}, "decisions_tree_id_check"),
        ({"event_source": "another"}, "decisions_event_source_check"),
        ({"course_id": "\x00"}, "invalid byte sequence"),
        ({"input_attributes": {"\x00": 1.0}}, "unsupported Unicode escape"),
        ({"decision_label": None}, "not-null"),
        ({"decision_label": NOISE}, "index row size"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_refusal_is_in_postgresqls_words(
    made: Made, values: dict[str, object], said: str
) -> None:
    sink = made.sink()
    await sink.setup()
    try:
        decision = first(made, "learner.decisions")
        with pytest.raises(RecordRefused, match=said) as caught:
            await sink.write([changed(decision, **values)])
        assert decision.value is not None
        assert decision.value["user_id"] not in str(caught.value)
        assert len(str(caught.value)) <= 500
        await sink.write([decision])
    finally:
        await sink.close()
    assert len(await contents(made.audit)) == 1


async def test_a_batch_is_all_or_nothing(made: Made) -> None:
    records = of(made)[:60]
    bad = changed(first(made, "learner.decisions"), decision_version=-1)
    sink = made.sink()
    await sink.setup()
    try:
        with pytest.raises(RecordRefused):
            await sink.write([*records, bad])
    finally:
        await sink.close()
    assert await contents(made.audit) == {}


@pytest.mark.parametrize("topic", ["profile", "behavior"])
async def test_a_deletion_deletes_and_what_comes_after_it_stays(made: Made, topic: str) -> None:
    states = [record for record in of(made) if record.topic == topic]
    state = states[0]
    gone = state._replace(offset=10**6, value=None, raw=b"")
    assert state.value is not None
    again = state._replace(offset=10**6 + 1, value={**state.value, "offset": 10**6})
    await write(made, states)
    everything = await contents(made.audit)
    await write(made, [gone])
    left = await contents(made.audit)
    assert {id for _, id in everything.keys() - left.keys()} == {state.key}
    for batches in ([[gone, again]], [[again, gone]], [[state, gone]], [[gone, state]]):
        await write(made, states, *batches)
        stands = batches[0] != [state, gone] and batches[0] != [gone, state]
        assert any(id == state.key for _, id in await contents(made.audit)) is stands, batches


async def test_the_first_document_with_a_number_keeps_it(made: Made) -> None:
    document = first(made, "tree.versions")
    assert document.value is not None
    nodes = [dict(node, rule_id=f"other-{i}") for i, node in enumerate(document.value["nodes"])]
    other = document._replace(offset=9, value={**document.value, "author": "x", "nodes": nodes})
    await write(made, [document, other], [other])
    assert_equal(await contents(made.audit), expected(made.audit, [document]))


async def test_a_record_of_an_older_program_takes_the_defaults(made: Made) -> None:
    """``pinned`` and ``evaluation`` came later than the first versions on the topic."""
    document = first(made, "tree.versions")
    assert document.value is not None
    older = {k: v for k, v in document.value.items() if k not in ("pinned", "evaluation")}
    await write(made, [document._replace(value=older)])
    ((values),) = [v for (t, _), v in (await contents(made.audit)).items() if t == "tree_versions"]
    assert (values["pinned"], values["evaluation"]) == (False, None)


async def test_the_retraining_log_says_how_much_better(made: Made) -> None:
    document = next(r for r in of(made) if r.value and r.value.get("retraining_logs"))
    assert document.value is not None
    evaluation = {"examples": 99, "accuracy_before": 0.5, "accuracy_after": 0.75}
    await write(made, [document._replace(value={**document.value, "evaluation": evaluation})])
    found = await contents(made.audit)
    assert found["retraining_log", "primary_classification:1"] == {
        "tree_id": "primary_classification",
        "version": 1,
        "author": "trainer",
        "date": "2026-01-01T00:00:00Z",
        "changes_made": ["recent_score: 0.5 → 0.55"],
        "data_points_used": 150,
        **evaluation,
    }


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("postgresql://nobody@{place}/learner", StoreUnavailable, "nobody"),
        ("postgresql://learner@{place}/nowhere", StoreUnavailable, "nowhere"),
        ("http://learner@{place}/learner", InvalidSetting, "LEARNER_POSTGRES__URL"),
    ],
)
async def test_whom_the_store_does_not_let_in_is_told(
    postgres_server: StoreServer, url: str, error: type[Exception], said: str
) -> None:
    place = postgres_server.url.rpartition("@")[2].partition("/")[0]
    sink = PostgresSink(PostgresSettings(url=url.format(place=place)))
    with pytest.raises(error, match=said):
        await sink.setup()
    await sink.close()


async def test_a_server_that_was_killed_or_hangs_is_away_until_it_answers(
    postgres_server: StoreServer,
) -> None:
    if isinstance(postgres_server, GivenServer):
        pytest.skip("needs a server of its own")
    server = start()
    try:
        settings = PostgresSettings(url=server.url, password=server.password, timeout_seconds=2)
        made = Made(lambda: PostgresSink(settings), PostgresAudit(settings), None, None)  # type: ignore[arg-type]
        records = of(made)
        sink = made.sink()
        await sink.setup()
        await sink.write(records[:200])
        server.kill()
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
            await sink.write(records[200:400])
        server.start()
        await sink.write(records[200:400])
        server.freeze()
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="within 2 s"):
            await sink.write(records[200:])
        with pytest.raises(StoreUnavailable, match="within 2 s"):
            await sink.write(records[200:])
        assert time.monotonic() - began < 9
        server.wake()
        await sink.write(records[200:])
        await sink.close()
        assert_equal(await contents(made.audit), expected(made.audit, records))
    finally:
        server.stop()


async def test_a_connection_that_was_cut_is_made_anew(
    made: Made, settings: PostgresSettings
) -> None:
    records = of(made)[:100]
    sink = made.sink()
    await sink.setup()
    try:
        await sink.write(records[:50])
        async with connected(settings) as other:
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        for _ in range(3):  # the first may still meet the cut connection
            try:
                await sink.write(records)
                break
            except StoreUnavailable as error:
                assert "lost" in str(error) or "terminating" in str(error)  # noqa: PT017  # either
    finally:
        await sink.close()
    assert_equal(await contents(made.audit), expected(made.audit, records))


async def test_a_missing_table_is_waited_for(made: Made, settings: PostgresSettings) -> None:
    sink = made.sink()
    with pytest.raises(StoreUnavailable, match='"decisions" does not exist'):
        await sink.write([first(made, "learner.decisions")])
    await sink.close()


async def test_a_repeat_rewrites_no_row(made: Made, settings: PostgresSettings) -> None:
    async def last_writers() -> list[object]:
        async with connected(settings) as connection:
            return [
                await connection.fetchval(f"SELECT max(xmin::text::bigint) FROM {table}")  # noqa: S608  # ours
                for table in made.audit.tables
            ]

    records = of(made)
    await write(made, records)
    before = await last_writers()
    await write(made, records, records[:30])
    assert await last_writers() == before


async def test_the_audit_sees_what_is_not_as_it_must_be(
    made: Made, settings: PostgresSettings
) -> None:
    records = of(made)
    await write(made, records)
    must = expected(made.audit, records)
    async with connected(settings) as connection:
        changed = await connection.fetchval(
            "UPDATE decisions SET input_attributes = input_attributes || '{\"gpa\": 0.125}' "
            "WHERE decision_id = (SELECT min(decision_id::text)::uuid FROM decisions) "
            "RETURNING decision_id::text"
        )
        gone = await connection.fetchval("DELETE FROM learner_summaries RETURNING user_id::text")
    found = await contents(made.audit)
    assert must.keys() - found.keys() >= {("learner_summaries", gone)}
    assert [key for key in found if found[key] != must[key]] == [("decisions", changed)]
    assert found["decisions", changed]["input_attributes"]["gpa"] == 0.125
