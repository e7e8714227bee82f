"""`learner trace`: one event's way, from whatever stores there are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Producer
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from agents.sink_records import record_of_event
from api_suite.served import own_database
from cli.main import app
from config.settings import ClickhouseSettings, KafkaSettings, Settings
from faults.command_process import environment
from queries.trace import timeline
from schemas.decision import decision_adapter
from schemas.delivery import delivery_adapter
from schemas.event import event_adapter
from schemas.topics import DECISIONS, DELIVERY_LOG, EVENTS
from servers.clickhouse import drop_database, new_database
from servers.kafka import free_ports
from servers.store_server import StoreServer
from sink_suite.stream_records import RECORDED_AT, stream_records
from sinks.clickhouse import ClickhouseSink
from sinks.contract import SinkRecord
from sinks.postgres import PostgresSink

RECORDS = stream_records()
OF_EVENTS = [record for record in RECORDS if record.topic == EVENTS]
DELIVERY = next(
    delivery
    for delivery in (
        delivery_adapter.validate_json(r.raw) for r in RECORDS if r.topic == DELIVERY_LOG
    )
    if delivery.response_status == "success" and delivery.attempt == 2
)
"""Delivered at the second attempt."""
EVENT = next(
    event_adapter.validate_json(record.raw)
    for record in OF_EVENTS
    if DELIVERY.event_id.encode() in record.raw
)
PLACE = next(r.offset for r in OF_EVENTS if DELIVERY.event_id.encode() in r.raw)


class Kept(NamedTuple):
    """Settings that lead to PostgreSQL and ClickHouse, filled by their sinks, and to no Kafka."""

    settings: Settings

    def without(self, *stores: str) -> Settings:
        (port,) = free_ports(1)
        away: dict[str, Any] = {
            "clickhouse": ClickhouseSettings(url=f"clickhouse://default@127.0.0.1:{port}/x"),
            "postgres": self.settings.postgres.model_copy(
                update={"url": f"postgresql://learner@127.0.0.1:{port}/x"}
            ),
        }
        return self.settings.model_copy(update={store: away[store] for store in stores})


@pytest.fixture(scope="module")
def kept(postgres_server: StoreServer, clickhouse_server: StoreServer) -> Iterator[Kept]:
    (port,) = free_ports(1)
    clickhouse = new_database(clickhouse_server)
    with own_database(postgres_server) as postgres:
        settings = Settings(
            _env_file=None,
            postgres=postgres,
            clickhouse=clickhouse,
            kafka=KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}"),
        )
        asyncio.run(fill(settings))
        yield Kept(settings)
    drop_database(clickhouse)


async def fill(settings: Settings) -> None:
    for sink in (PostgresSink(settings.postgres), ClickhouseSink(settings.clickhouse)):
        await sink.setup()
        await sink.write([record for record in RECORDS if record.topic in sink.topics])
        await sink.close()


@pytest.fixture
def kafka(kept: Kept, fresh_kafka: Settings) -> Kept:
    """With a Kafka that has the events, at their places."""
    producer = Producer({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
    at = int(RECORDED_AT.timestamp() * 1000)
    valid = {record.offset: record for record in OF_EVENTS}
    for offset in range(max(valid) + 1):
        raw = valid[offset].raw if offset in valid else b"no event"
        producer.produce(EVENTS, raw, partition=0, timestamp=at + offset)
        producer.poll(0)
    assert producer.flush(30) == 0
    return Kept(kept.settings.model_copy(update={"kafka": fresh_kafka.kafka}))


def trace(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["trace", *arguments], env=environment(settings))


def found(settings: Settings, what: str) -> dict[str, Any]:
    done = trace(settings, what, "--json")
    assert done.exit_code == 0, done.output
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_the_whole_way(kafka: Kept) -> None:
    for what in (DELIVERY.event_id, DELIVERY.trace_id.upper()):
        way = found(kafka.settings, what)
        assert way["missing"] == []
        assert way["trace_id"] == DELIVERY.trace_id
        assert way["event"]["event_id"] == EVENT.event_id
        assert (way["partition"], way["offset"]) == (0, PLACE)
        assert {d["tree_id"] for d in way["decisions"]} == {
            decision_adapter.validate_json(r.raw).tree_id
            for r in RECORDS
            if r.topic == DECISIONS and DELIVERY.event_id.encode() in r.raw
        }
        ours = [d for d in way["deliveries"] if d["delivery_id"] == DELIVERY.delivery_id]
        assert [d["response_status"] for d in ours] == ["timeout", "success"]
        steps = [m["what"] for m in way["timeline"]]
        assert steps.count("happened") == steps.count("on Kafka") == 1
        assert steps.index("happened") < steps.index("decided") < steps.index("delivered")
        assert steps.index("timed out") < steps.index("acknowledged")
        times = [m["ms"] for m in way["timeline"]]
        assert times == sorted(times)


def test_a_person_reads_a_timeline(kafka: Kept) -> None:
    done = trace(kafka.settings, DELIVERY.event_id)
    assert done.exit_code == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == f"trace {DELIVERY.trace_id}"
    assert DELIVERY.user_id in lines[1]
    said = f"{DELIVERY.decision_tree_id}, attempt 2, after 250 ms"
    acknowledged = next(line for line in lines if line.endswith(f"acknowledged  {said}"))
    assert "+10,282 ms" in acknowledged  # 31.5 ms, ten seconds later again, and 250 ms to answer


def test_without_clickhouse_kafka_has_the_event(kafka: Kept) -> None:
    for what in (DELIVERY.event_id, DELIVERY.trace_id):
        way = found(kafka.without("clickhouse"), what)
        assert way["event"]["event_id"] == EVENT.event_id
        assert way["offset"] == PLACE
        assert len(way["missing"]) == 1
        assert "not looked for in ClickHouse" in way["missing"][0]


def test_without_kafka_only_its_time_is_missing(kept: Kept) -> None:
    way = found(kept.settings, DELIVERY.event_id)
    assert way["event"]["event_id"] == EVENT.event_id
    assert "on Kafka" not in [m["what"] for m in way["timeline"]]
    assert len(way["missing"]) == 1
    assert way["missing"][0].startswith("when it came to Kafka: no answer from Kafka")


def test_without_postgres_the_event_is_shown(kept: Kept) -> None:
    way = found(kept.without("postgres"), DELIVERY.event_id)
    assert [m["what"] for m in way["timeline"]] == ["happened"]
    assert way["missing"][0].startswith("no decisions and deliveries: PostgreSQL at")


def test_with_nothing_each_store_says_why(kept: Kept) -> None:
    done = trace(kept.without("postgres", "clickhouse"), DELIVERY.event_id)
    assert done.exit_code == 1
    assert done.stdout == f"trace {DELIVERY.event_id.replace('-', '')}\n"
    assert len([line for line in done.stderr.splitlines() if line.startswith("missing: ")]) == 3


def test_an_event_that_nobody_knows(kafka: Kept) -> None:
    done = trace(kafka.settings, "0" * 32)
    assert done.exit_code == 1
    for where in ("in ClickHouse", "in Kafka", "in PostgreSQL"):
        assert where in done.stderr


@pytest.mark.parametrize("given", ["x", DELIVERY.event_id[:-1], "0" * 31, "'; DROP TABLE", "%"])
def test_what_is_no_id_is_said(given: str) -> None:
    done = CliRunner().invoke(app, ["trace", given])
    assert done.exit_code == 1
    assert "a trace id is 32 hex digits" in done.stderr


def test_another_record_in_its_place_is_not_taken_for_it(kept: Kept, fresh_kafka: Settings) -> None:
    """As in topics that were made anew while ClickHouse kept what it had."""
    producer = Producer({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
    for _ in range(PLACE + 1):
        producer.produce(EVENTS, OF_EVENTS[0].raw, partition=0)
    assert producer.flush(30) == 0
    way = found(kept.settings.model_copy(update={"kafka": fresh_kafka.kafka}), DELIVERY.event_id)
    assert way["event"]["event_id"] == EVENT.event_id
    assert way["missing"] == ["when it came to Kafka: its record is there no longer"]


def test_an_event_with_a_trace_of_its_own_is_found_by_either(
    kept: Kept, fresh_kafka: Settings
) -> None:
    """Its id does not tell the trace, nor the trace its id; nothing was decided at it."""
    traceparent = f"00-{'a1' * 16}-{'b2' * 8}-01"
    told = EVENT.model_copy(
        update={"event_id": "11111111-1111-4111-8111-111111111111", "traceparent": traceparent}
    )
    record = record_of_event(3, 0, told)
    producer = Producer({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
    producer.produce(EVENTS, record.raw, partition=3)
    assert producer.flush(30) == 0
    settings = kept.settings.model_copy(update={"kafka": fresh_kafka.kafka})
    for asked in ("not in ClickHouse yet", "in ClickHouse"):
        for what in (told.event_id, "a1" * 16):
            way = found(settings, what)
            assert way["event"]["event_id"] == told.event_id, asked
            assert way["trace_id"] == "a1" * 16
            assert (way["partition"], way["offset"]) == (3, 0)
            assert any("no decision in PostgreSQL" in said for said in way["missing"])
        asyncio.run(keep_in_clickhouse(settings, record))


async def keep_in_clickhouse(settings: Settings, record: SinkRecord) -> None:
    sink = ClickhouseSink(settings.clickhouse)
    await sink.setup()
    await sink.write([record])
    await sink.close()


# The timeline, without any store

DECISION = decision_adapter.validate_json(
    next(r.raw for r in RECORDS if r.topic == DECISIONS and DELIVERY.decision_id.encode() in r.raw)
)


def test_moments_come_in_order_and_count_from_the_first() -> None:
    at = EVENT.occurred_at
    ms = timedelta(milliseconds=1)
    sent = replace(
        DELIVERY, attempt=1, delivery_timestamp=at + 40 * ms, decision_latency_ms=10.0,
        response_status="success", response_reason="", responded_at=at + 290 * ms,
    )  # fmt: skip
    line = timeline(EVENT, at + 12 * ms, [DECISION], [sent])
    assert [(m.ms, m.what) for m in line] == [
        (0, "happened"),
        (12, "on Kafka"),
        (30, "decided"),
        (40, "delivered"),
        (290, "acknowledged"),
    ]
    assert line[0].detail == EVENT.type
    assert line[-1].detail == f"{DELIVERY.decision_tree_id}, attempt 1, after 250 ms"


def test_what_was_never_sent_is_not_delivered_and_what_nobody_answered_has_its_end() -> None:
    unsent = replace(
        DELIVERY, response_status="superseded", response_reason="unsent, by decision d2",
        responded_at=None,
    )  # fmt: skip
    late = replace(DELIVERY, response_status="timeout", response_reason="", responded_at=None)
    assert [(m.what, m.detail) for m in timeline(EVENT, None, [], [unsent, late])][1:] == [
        ("superseded", f"{DELIVERY.decision_tree_id}, unsent, by decision d2"),
        ("delivered", f"{DELIVERY.decision_tree_id}, attempt {DELIVERY.attempt}: timed out"),
    ]


def test_a_decision_that_was_not_delivered_has_no_time() -> None:
    assert [m.what for m in timeline(None, None, [DECISION], [])] == ["happened"]


def test_a_clock_that_is_behind_is_shown_as_it_is() -> None:
    early = EVENT.occurred_at - timedelta(seconds=1)
    line = timeline(EVENT, early, [], [])
    assert [(m.ms, m.what) for m in line] == [(0, "on Kafka"), (1000, "happened")]


def test_of_nothing_there_is_no_line() -> None:
    assert timeline(None, None, [], []) == []
