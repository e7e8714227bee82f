"""The audit of deliveries, chat sessions and prompts on real servers, while everything runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer
from msgspec.structs import replace
from pydantic import SecretStr

from agents.facilitator import run_facilitator
from agents.kafka_client import connection
from agents.sink import run_sinks
from agents.topic_reader import read_topic
from agents.topics import DELIVERY_LOG, EVENTS
from agents.worker import run_worker
from audit.comparison import TableReport
from audit.duckdb import DuckdbAudit
from audit.postgres import PostgresAudit
from audit.redis import RedisAudit
from audit.rows import StoreAudit
from audit.run import Asked, StoreReport, run_audit
from config.settings import (
    DuckdbSettings,
    FacilitatorSettings,
    RedisSettings,
    Settings,
    SinkSettings,
)
from schemas.contract import encode
from schemas.decision import decision_adapter
from schemas.delivery import Delivery, delivery_adapter
from schemas.topics import DECISIONS
from servers.postgres import new_database
from servers.store_server import StoreServer
from simulation.classroom import simulate
from sink_suite.answering_service import answer
from sink_suite.conversations import conversations
from sink_suite.deliveries import deliveries_of
from sink_suite.stream_records import stream_records
from sinks.duckdb import DuckdbSink
from sinks.postgres import PostgresSink
from sinks.postgres_connection import connected
from sinks.redis import DELIVERY, RedisSink, connect

DECISION = next(
    decision_adapter.validate_json(r.raw) for r in stream_records() if r.topic == DECISIONS
)


@pytest.fixture
async def settings(
    fresh_kafka: Settings,
    postgres_server: StoreServer,
    redis_server: StoreServer,
    tmp_path: Path,
) -> AsyncIterator[Settings]:
    password = SecretStr(redis_server.password) if redis_server.password else None
    url = f"{redis_server.url.rpartition('/')[0]}/13"
    redis = RedisSettings(url=url, password=password)
    client = connect(redis)
    await client.flushdb()
    async with new_database(postgres_server) as postgres:
        yield fresh_kafka.model_copy(
            update={
                "sink": SinkSettings(max_age_seconds=0.05, retry_first_seconds=0.02),
                "facilitator": FacilitatorSettings(
                    ack_timeout_seconds=2.0, backoff=1.0, attempts=2
                ),
                "postgres": postgres,
                "redis": redis,
                "duckdb": DuckdbSettings(file=tmp_path / "kept.duckdb"),
            }
        )
    await client.flushdb()
    await client.aclose()


class Parts(NamedTuple):
    """What runs, each by itself."""

    task: asyncio.Task[Any]
    stop: asyncio.Event

    async def end(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 30)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[dict[str, Parts]]:
    """Worker, facilitator, the sinks, and a service that answers nearly all."""

    def part(run: Callable[[asyncio.Event], Any]) -> Parts:
        stop = asyncio.Event()
        return Parts(asyncio.create_task(run(stop)), stop)

    sinks = [
        PostgresSink(settings.postgres),
        RedisSink(settings.redis),
        DuckdbSink(settings.duckdb),
    ]
    parts = {
        "worker": part(lambda stop: run_worker(settings, stop)),
        "facilitator": part(lambda stop: run_facilitator(settings, stop)),
        "service": part(lambda stop: answer(settings, stop)),
        "sinks": part(lambda stop: run_sinks(settings, sinks, stop)),
    }
    try:
        yield parts
        for running_ in parts.values():
            await running_.end()
    finally:
        for running_ in parts.values():
            running_.task.cancel()
        await asyncio.wait([running_.task for running_ in parts.values()])


async def send(settings: Settings, lines: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for line in lines:
        producer.produce(EVENTS, line, orjson.loads(line)["user_id"])
    assert await asyncio.to_thread(producer.flush, 60) == 0


async def say(settings: Settings, partition: int, *log: Delivery) -> None:
    """On ``facilitator.log``, past the facilitator."""
    producer = AIOKafkaProducer(**connection(settings.kafka))
    await producer.start()
    for told in log:
        key = told.user_id.encode()
        await producer.send_and_wait(DELIVERY_LOG, encode(told), key, partition)
    await producer.stop()


async def audited(
    settings: Settings, wait_seconds: float = 60
) -> dict[tuple[str, str], TableReport]:
    reports = await reported(settings, wait_seconds)
    return {(report.store, table.table): table for report in reports for table in report.tables}


async def reported(settings: Settings, wait_seconds: float = 60) -> list[StoreReport]:
    audits: list[StoreAudit] = [
        PostgresAudit(settings.postgres),
        RedisAudit(settings.redis),
        DuckdbAudit(settings.duckdb),
    ]
    return await run_audit(settings, audits, Asked(wait_seconds=wait_seconds), lambda _: None)


def not_in_step(tables: dict[tuple[str, str], TableReport]) -> dict[tuple[str, str], Any]:
    return {
        name: (table.missing, table.extra, table.different)
        for name, table in tables.items()
        if not table.in_step
    }


async def test_in_step_until_somebody_tampers_and_then_it_is_named(settings: Settings) -> None:
    lines = list(conversations(simulate(6, 8, seed=3), every=12))
    half = len(lines) // 2
    async with running(settings) as parts:
        await send(settings, lines[:half])
        await until_something_is_delivered(settings)
        # While statuses change, and more comes in.
        assert not_in_step(await audited(settings)) == {}
        await send(settings, lines[half:])
        tables = await audited(settings)
        assert not_in_step(tables) == {}
        decisions = tables["postgres", "decisions"].rows
        assert tables["facilitator", "deliveries"].rows >= decisions > 100
        assert tables["postgres", "deliveries"].rows > decisions
        assert tables["postgres", "chat_summaries"].rows > 5
        assert tables["postgres", "prompt_sets"].rows == 1
        assert tables["redis", "latest_deliveries"].rows >= 12
        assert tables["duckdb", "deliveries"].rows > decisions
        assert tables["duckdb", "chat_messages"].rows > 20
        await settled(settings)

        await parts["facilitator"].end()
        async with connected(settings.postgres) as database:
            await tampered(settings, database)
        tables = await audited(settings)
        assert not_in_step(tables) == {
            ("postgres", "deliveries"): (1, 0, 1),
            ("postgres", "chat_summaries"): (0, 0, 1),
            ("postgres", "prompt_sets"): (0, 0, 1),
            ("redis", "latest_deliveries"): (1, 0, 1),
        }
        fields = {
            name: {f for d in table.first if d.kind == "different" for f in d.fields}
            for name, table in tables.items()
            if table.first
        }
        assert fields == {
            ("postgres", "deliveries"): {"response_reason"},
            ("postgres", "chat_summaries"): {"hints"},
            ("postgres", "prompt_sets"): {"reading_levels"},
            ("redis", "latest_deliveries"): {"cache_hit"},
        }


async def until_something_is_delivered(settings: Settings) -> None:
    async with asyncio.timeout(60):
        while not [record async for record in read_topic(settings.kafka, DELIVERY_LOG)]:
            await asyncio.sleep(0.1)


async def settled(settings: Settings) -> None:
    """Until every delivery in the store has its last status."""
    async with asyncio.timeout(30), connected(settings.postgres) as database:
        sql = "SELECT count(*) FROM deliveries WHERE response_status = 'pending'"
        while await database.fetchval(sql):
            await asyncio.sleep(0.05)


async def tampered(settings: Settings, database: Any) -> None:
    for sql in (
        "UPDATE deliveries SET response_reason = 'x' WHERE ctid IN (SELECT ctid FROM deliveries "
        "WHERE attempt = 1 ORDER BY delivery_id LIMIT 1)",
        "DELETE FROM deliveries WHERE ctid IN (SELECT ctid FROM deliveries "
        "WHERE response_reason <> 'x' LIMIT 1)",
        "UPDATE chat_summaries SET hints = hints + 1 WHERE ctid IN (SELECT ctid FROM "
        "chat_summaries WHERE hints < messages LIMIT 1)",
        'UPDATE prompt_sets SET reading_levels = \'{"basic": "Shout."}\'',
    ):
        await database.execute(sql)
    client = connect(settings.redis)
    keys = sorted(await client.keys(f"{DELIVERY}*"))
    await client.delete(keys[0])
    record = orjson.loads(await client.hget(keys[1], "record"))
    await client.hset(keys[1], "record", orjson.dumps(record | {"cache_hit": True}))
    await client.aclose()


async def test_what_was_not_delivered_or_never_decided_is_named(settings: Settings) -> None:
    lines = list(simulate(4, 6, seed=5))
    half = len(lines) // 2
    async with running(settings) as parts:
        await send(settings, lines[:half])
        await until_something_is_delivered(settings)
        assert not_in_step(await audited(settings)) == {}
        await settled(settings)
        await parts["facilitator"].end()

        # Of a decision that never was, and one more attempt of one that is done with.
        invented = next(iter(deliveries_of(DECISION, ((1, "pending"),))))
        partition, done = await a_delivery(settings)
        await say(settings, partition, invented, replace(done, response_status="fail"))
        tables = await audited(settings, wait_seconds=5)
        assert not_in_step(tables) == {("facilitator", "deliveries"): (0, 1, 1)}
        told = {d.kind: d for d in tables["facilitator", "deliveries"].first}
        assert told["extra"].id == DECISION.decision_id
        assert told["different"].id == done.decision_id
        stored, must = told["different"].fields["fault"]
        status = f"{done.attempt} {done.response_status}"
        assert (stored, must) == (f"{done.attempt} fail after {status}", "")

        # With nobody to deliver it, what is decided now is missing.
        await send(settings, lines[half:])
        reports = await reported(settings, wait_seconds=2)
        facilitator = {report.store: report for report in reports}["facilitator"]
        assert facilitator.behind > 0
        assert facilitator.total("missing") > 20


async def a_delivery(settings: Settings) -> tuple[int, Delivery]:
    """Of the log, one that is done with: taken, or given up for a newer decision."""
    async for record in read_topic(settings.kafka, DELIVERY_LOG):
        told = delivery_adapter.validate_json(record.value)
        if told.response_status in {"success", "superseded"}:
            return record.partition, told
    raise AssertionError("nothing was delivered")


async def test_where_no_facilitator_ever_ran_that_is_said_and_nothing_is_missing(
    settings: Settings,
) -> None:
    async with running(settings) as parts:
        await parts["facilitator"].end()
        await send(settings, list(simulate(2, 3, seed=5)))
        reports = await reported(settings)
    assert [report.store for report in reports] == ["postgres", "redis", "duckdb"]
    assert all(report.in_step for report in reports)
    assert ["has never run" in report.note for report in reports] == [True, False, False]
    assert reports[0].total("rows") > 20
