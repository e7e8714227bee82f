"""The sink of ClickHouse against a new one (chdb): the product's own DDL, inserts and views."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest

import audit.clickhouse
import sinks.clickhouse
from agents.sink_records import record_of_event
from audit.clickhouse import ClickhouseAudit
from config.settings import ClickhouseSettings
from schemas.errors import RecordRefused
from schemas.event import event_adapter
from servers.clickhouse_in_process import InProcessClient
from servers.kafka import free_ports
from sink_suite.contract_tests import (
    Made,
    SinkContract,
    assert_equal,
    contents,
    expected,
    of,
    write,
)
from sinks.clickhouse import ClickhouseSink
from sinks.clickhouse_tables import is_learners
from sinks.contract import SinkRecord

SETTINGS = ClickhouseSettings(retention_days=36_500)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> InProcessClient:
    """In place of every connection to the address in `SETTINGS`."""
    made, connect = InProcessClient(), sinks.clickhouse.connect

    def connect_here(settings: ClickhouseSettings) -> Any:
        return made if settings.url == SETTINGS.url else connect(settings)

    monkeypatch.setattr(sinks.clickhouse, "connect", connect_here)
    monkeypatch.setattr(audit.clickhouse, "connect", connect_here)
    return made


@pytest.fixture
def made(client: InProcessClient) -> Made:
    return made_with(SETTINGS)


def made_with(settings: ClickhouseSettings) -> Made:
    (nobody,) = free_ports(1)
    away = ClickhouseSettings(url=f"clickhouse://default@127.0.0.1:{nobody}/default")
    return Made(
        lambda: ClickhouseSink(settings),
        ClickhouseAudit(settings),
        lambda: ClickhouseSink(away),
        lambda record: changed(record, occurred_at="2106-01-01T00:00:00Z"),
    )


def changed(record: SinkRecord, **fields: Any) -> SinkRecord:
    """Another event, still a valid one."""
    value = {**record.value, "event_id": str(uuid.uuid4()), **fields}  # type: ignore[dict-item]
    event = event_adapter.validate_json(orjson.dumps(value))
    return record_of_event(record.partition, record.offset, event)


class TestClickhouseInProcess(SinkContract):
    @pytest.mark.parametrize(
        "time",
        [
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00.000001Z",
            "2024-02-29T23:59:59.999999Z",
            "2024-06-30T12:00:00.5Z",
            "2105-12-31T23:59:59.999999Z",
        ],
    )
    async def test_times_are_kept_to_the_microsecond(
        self, made: Made, client: InProcessClient, time: str
    ) -> None:
        record = changed(of(made)[0], occurred_at=time)
        await write(made, [record])
        assert_equal(await contents(made.audit), expected(made.audit, [record]))
        must = datetime.fromisoformat(time)
        assert client.execute("SELECT occurred_at, occurred_on FROM events") == [
            (must, must.date())
        ]

    async def test_the_columns_have_the_types_that_suit_them(
        self, made: Made, client: InProcessClient
    ) -> None:
        await write(made, of(made)[:1])
        types = dict(client.execute(
            "SELECT concat(table, '.', name), type FROM system.columns "
            "WHERE database = currentDatabase()"
        ))  # fmt: skip
        assert types["events.occurred_at"] == "DateTime64(6, 'UTC')"
        assert types["engagement_log.skill_tag"] == "LowCardinality(String)"
        assert types["engagement_log.score"] == "Nullable(Float64)"
        made_of = dict(client.execute(
            "SELECT name, concat(partition_key, ' / ', sorting_key) FROM system.tables "
            "WHERE database = currentDatabase() AND name IN ('events', 'engagement_log')"
        ))  # fmt: skip
        key = "toYYYYMM(occurred_on) / user_id, occurred_on, event_id"
        assert made_of == {"events": key, "engagement_log": key}

    async def test_a_day_written_twice_counts_once(
        self, made: Made, client: InProcessClient
    ) -> None:
        records = of(made)
        values = [r.value for r in records if r.value is not None and is_learners(r.value)]
        assert 0 < len(values) < len(records)
        await write(made, records, records)
        ((events, seconds, answers),) = client.execute(
            "SELECT sum(events), sum(seconds), sum(answers) FROM daily_activity"
        )
        assert events == len(values)
        assert seconds == pytest.approx(sum(value.get("duration", 0.0) for value in values))
        assert answers == sum("score" in value for value in values)

    async def test_a_day_of_odd_fractions_adds_up_as_the_audit_says(self, made: Made) -> None:
        answer = next(r for r in of(made) if r.value is not None and "score" in r.value)
        odd = [changed(answer, score=n / 7, duration=100 * n / 3) for n in range(1, 7)]
        await write(made, odd)
        assert_equal(await contents(made.audit), expected(made.audit, odd))

    async def test_a_batch_may_span_more_months_than_an_insert_usually_may(
        self, made: Made
    ) -> None:
        record = of(made)[0]
        months = [f"{year}-{month:02}" for year in range(1990, 2000) for month in range(1, 13)]
        records = [changed(record, occurred_at=f"{month}-15T12:00:00Z") for month in months]
        await write(made, records)
        assert_equal(await contents(made.audit), expected(made.audit, records))

    async def test_a_check_that_an_operator_added_refuses(
        self, made: Made, client: InProcessClient
    ) -> None:
        await write(made, ())
        client.execute("ALTER TABLE events ADD CONSTRAINT short CHECK length(record) < 500")
        long = next(r for r in of(made) if len(r.raw) >= 500)
        with pytest.raises(RecordRefused, match="short"):
            await write(made, [long])
        assert client.execute("SELECT count() FROM events") == [(0,)]

    async def test_events_go_when_their_retention_has_ended(self, client: InProcessClient) -> None:
        """Old ones when ClickHouse merges; the audit asks for them neither before nor after."""
        made = made_with(SETTINGS.model_copy(update={"retention_days": 60}))
        old = of(made)
        now = datetime.now(UTC)
        new = [changed(old[0], occurred_at=(now - timedelta(days)).isoformat()) for days in (0, 50)]
        await write(made, old, new)
        must = expected(made.audit, [*old, *new])
        assert len(must) == 6
        assert_equal(await contents(made.audit), must)
        for table in ("events", "engagement_log", "daily_activity_states"):
            client.execute(f"OPTIMIZE TABLE {table} FINAL")
            assert client.execute(f"SELECT count() FROM {table}") == [(2,)]  # noqa: S608  # ours
        assert_equal(await contents(made.audit), must)

    async def test_no_retention_reaches_beyond_the_last_date(
        self, made: Made, client: InProcessClient
    ) -> None:
        """A date that began again at 1970 would be over, and the event gone."""
        record = changed(of(made)[0], occurred_at="2105-12-31T00:00:00Z")
        await write(made, [record])
        client.execute("OPTIMIZE TABLE events FINAL")
        assert client.execute("SELECT occurred_on FROM events") == [(date(2105, 12, 31),)]

    async def test_another_retention_is_taken_over(
        self, made: Made, client: InProcessClient
    ) -> None:
        await write(made, of(made)[:5])
        await write(made_with(SETTINGS.model_copy(update={"retention_days": 7_300})), ())
        found = client.execute(
            "SELECT count() FROM system.tables WHERE database = currentDatabase() "
            "AND create_table_query LIKE '%%toUInt32(occurred_on) + 7300,%%'",
            {},
        )
        assert found == [(3,)]
        assert_equal(await contents(made.audit), expected(made.audit, of(made)[:5]))
