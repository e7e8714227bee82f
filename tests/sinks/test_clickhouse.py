"""The sink of ClickHouse against a server: the suite of all sinks, and what is ClickHouse's own."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest
from clickhouse_driver import Client
from pydantic import SecretStr

from agents.sink_records import record_of_event
from audit.clickhouse import ClickhouseAudit
from config.settings import ClickhouseSettings
from schemas.errors import RecordRefused, StoreUnavailable
from schemas.event import event_adapter
from servers.clickhouse import LEGACY, drop_database, new_database
from servers.kafka import free_ports
from servers.store_server import StoreServer
from sink_suite.contract_tests import (
    Made,
    SinkContract,
    assert_equal,
    contents,
    expected,
    of,
    write,
)
from sinks.clickhouse import ClickhouseSink, connect
from sinks.clickhouse_tables import ALL_NAMES, is_learners, statements
from sinks.contract import SinkRecord


@pytest.fixture
def settings(clickhouse_server: StoreServer) -> Iterator[ClickhouseSettings]:
    made = new_database(clickhouse_server)
    yield made
    drop_database(made)


@pytest.fixture
def client(settings: ClickhouseSettings) -> Iterator[Client]:
    with connect(settings) as connected:
        yield connected


@pytest.fixture
def made(settings: ClickhouseSettings) -> Made:
    (nobody,) = free_ports(1)
    away = settings.model_copy(update={"url": f"clickhouse://default@127.0.0.1:{nobody}/default"})
    return Made(
        lambda: ClickhouseSink(settings),
        ClickhouseAudit(settings),
        lambda: ClickhouseSink(away),
        lambda record: changed(record, occurred_at="1969-12-31T23:59:59Z"),
    )


def changed(record: SinkRecord, **fields: Any) -> SinkRecord:
    """Another event, still a valid one."""
    value = {**record.value, "event_id": str(uuid.uuid4()), **fields}  # type: ignore[dict-item]
    event = event_adapter.validate_json(orjson.dumps(value))
    return record_of_event(record.partition, record.offset, event)


@pytest.mark.parametrize("known", [known for known, _ in LEGACY])
def test_what_is_replaced_for_an_old_server_is_there_to_be_replaced(known: str) -> None:
    assert any(re.search(known, statement) for statement in statements(36_500))


class TestClickhouse(SinkContract):
    @pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "2106-01-01", "9999-12-31"])
    async def test_a_day_that_a_date_cannot_hold_is_refused(self, made: Made, day: str) -> None:
        record = changed(of(made)[0], occurred_at=f"{day}T12:00:00Z")
        with pytest.raises(RecordRefused, match=f"{day}.*1970-01-01 to 2105-12-31"):
            await write(made, [record])
        assert await contents(made.audit) == {}

    @pytest.mark.parametrize("day", ["1970-01-01", "2105-12-31"])
    async def test_the_first_and_the_last_day_are_kept(self, made: Made, day: str) -> None:
        record = changed(of(made)[0], occurred_at=f"{day}T23:59:59Z")
        await write(made, [record])
        assert_equal(await contents(made.audit), expected(made.audit, [record]))

    async def test_a_number_too_large_for_its_column_leaves_nothing(self, made: Made) -> None:
        enrolled = next(r for r in of(made) if r.value and r.value["type"] == "course.enrolled")
        # No event of this version's contract has one.
        value = {**enrolled.value, "previous_attempts": 2**32}  # type: ignore[dict-item]
        bad = enrolled._replace(value=value, raw=orjson.dumps(value))
        with pytest.raises(RecordRefused, match="previous_attempts"):
            await write(made, [of(made)[0], bad])
        assert await contents(made.audit) == {}

    @pytest.mark.parametrize("order", ["first then second", "second then first", "one batch"])
    async def test_the_first_telling_stays(self, made: Made, order: str) -> None:
        """Also when the second was in another course, graded otherwise and taken longer."""
        answer = next(r for r in of(made) if r.value and r.value["type"] == "quiz.submitted")
        assert answer.value is not None
        first = changed(answer, score=0.25, duration=10.5)
        assert first.value is not None
        second = changed(
            answer, event_id=first.value["event_id"], course_id="elsewhere", score=1.0, duration=9.0
        )._replace(offset=answer.offset + 1)
        batches: Sequence[Sequence[SinkRecord]] = {
            "first then second": ([first], [second]),
            "second then first": ([second], [first], [second]),
            "one batch": ([second, first],),
        }[order]
        await write(made, *batches)
        assert_equal(await contents(made.audit), expected(made.audit, [first]))

    async def test_a_day_written_twice_counts_once(self, made: Made, client: Client) -> None:
        records = of(made)
        values = [r.value for r in records if r.value is not None and is_learners(r.value)]
        assert 0 < len(values) < len(records)
        await write(made, records, records)
        seconds = sum(value.get("duration", 0.0) for value in values)
        scores = [value["score"] for value in values if "score" in value]
        ((events, found, answers, score_sum),) = client.execute(
            "SELECT sum(events), sum(seconds), sum(answers), sum(score_sum) FROM daily_activity"
        )
        assert (events, answers) == (len(values), len(scores))
        assert (found, score_sum) == pytest.approx((seconds, sum(scores)))
        (stored,) = client.execute("SELECT count() FROM daily_activity_states")[0]
        assert 0 < stored <= events

    async def test_merged_rows_stand_once_without_final(self, made: Made, client: Client) -> None:
        records = of(made)
        await write(made, records, records)
        for table in ("events", "engagement_log", "daily_activity_states"):
            client.execute(f"OPTIMIZE TABLE {table} FINAL")
        assert client.execute("SELECT count() FROM events") == [(len(records),)]
        assert client.execute("SELECT count() FROM engagement_log") == [(len(records),)]
        assert_equal(await contents(made.audit), expected(made.audit, records))

    async def test_a_batch_may_span_more_months_than_an_insert_usually_may(
        self, made: Made
    ) -> None:
        record = of(made)[0]
        months = [f"{year}-{month:02}" for year in range(1990, 2000) for month in range(1, 13)]
        records = [changed(record, occurred_at=f"{month}-15T12:00:00Z") for month in months]
        await write(made, records)
        assert_equal(await contents(made.audit), expected(made.audit, records))

    async def test_tables_that_are_not_ours_to_make_are_named(
        self, made: Made, settings: ClickhouseSettings, client: Client
    ) -> None:
        await write(made, of(made)[:1])
        client.execute("DROP TABLE daily_activity_feed")
        sink = ClickhouseSink(settings.model_copy(update={"create_tables": False}))
        with pytest.raises(StoreUnavailable, match=r"no daily_activity_feed: .*create_tables"):
            await sink.setup()
        await sink.close()

    async def test_a_table_that_goes_missing_is_unavailable(
        self, made: Made, client: Client
    ) -> None:
        sink = made.sink()
        await sink.setup()
        for name in reversed(ALL_NAMES):
            client.execute(f"DROP TABLE IF EXISTS {name}")
        with pytest.raises(StoreUnavailable, match="inbox"):
            await sink.write(of(made)[:1])
        await sink.close()

    async def test_a_wrong_password_is_unavailable_and_not_shown(
        self, settings: ClickhouseSettings
    ) -> None:
        wrong = ClickhouseSettings(url=settings.url, password=SecretStr("s3cret-and-wrong"))
        sink = ClickhouseSink(wrong)
        with pytest.raises(StoreUnavailable) as error:
            await sink.setup()
        await sink.close()
        assert "s3cret" not in str(error.value)

    async def test_a_frozen_server_holds_up_neither_us_nor_the_loop(
        self, made: Made, settings: ClickhouseSettings, clickhouse_server: StoreServer
    ) -> None:
        sink = ClickhouseSink(settings.model_copy(update={"timeout_seconds": 1.0}))
        await sink.setup()
        clickhouse_server.freeze()
        beats = 0
        try:
            began = time.monotonic()
            writing = asyncio.create_task(sink.write(of(made)[:10]))
            while not writing.done():
                await asyncio.sleep(0.02)
                beats += 1
            with pytest.raises(StoreUnavailable, match="does not answer"):
                await writing
            assert time.monotonic() - began < 5
            assert beats > 20
        finally:
            clickhouse_server.wake()
        await sink.write(of(made)[:10])
        await sink.close()
        assert_equal(await contents(made.audit), expected(made.audit, of(made)[:10]))

    async def test_it_goes_on_after_the_server_was_killed(
        self, made: Made, clickhouse_server: StoreServer
    ) -> None:
        sink = made.sink()
        await sink.setup()
        await sink.write(of(made)[:10])
        clickhouse_server.kill()
        with pytest.raises(StoreUnavailable):
            await sink.write(of(made)[10:20])
        clickhouse_server.start()
        await sink.write(of(made)[10:20])
        await sink.close()
        assert_equal(await contents(made.audit), expected(made.audit, of(made)[:20]))
