"""A record that one store refuses: its neighbours go in, the other stores have it, and
``learner.dlq`` has it with the store's own words."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Producer

from agents.sink import run_sinks
from agents.topics import DEAD_LETTERS, DECISIONS, EVENTS
from audit.registry import audit_of
from config.settings import Settings, SinkSettings
from faults.all_stores import AllStores
from faults.committed_records import committed_records
from schemas.dead_letter import DeadLetter
from schemas.sample_records import SAMPLES
from sinks.registry import sink_of

EVENT = next(event for kind, event in SAMPLES["learner-event"] if kind == "content.viewed")
DECISION = SAMPLES["decision"][0][1]


def events() -> list[dict[str, object]]:
    """The third happened before the days that ClickHouse's and Elasticsearch's times can hold."""
    made = [{**EVENT, "event_id": str(uuid.UUID(int=n))} for n in range(5)]
    made[2]["occurred_at"] = "1969-07-20T20:17:40Z"
    return made


def decisions() -> list[dict[str, object]]:
    """The third holds a character that PostgreSQL takes in no text."""
    made = [{**DECISION, "decision_id": str(uuid.UUID(int=n))} for n in range(5)]
    made[2]["llm_prompt_output"] = "before \x00 after"
    return made


async def test_each_store_says_why_and_takes_the_rest(
    fresh_kafka: Settings, stores: AllStores, tmp_path: Path
) -> None:
    limits = SinkSettings(max_age_seconds=0.3, retry_first_seconds=0.05)
    settings = stores.settings(fresh_kafka.model_copy(update={"sink": limits}), tmp_path)
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for topic, values in ((EVENTS, events()), (DECISIONS, decisions())):
        for value in values:
            producer.produce(topic, json.dumps(value), str(value["user_id"]), partition=0)
    assert producer.flush(10) == 0
    stop = asyncio.Event()
    wanted = ("postgres", "clickhouse", "elasticsearch", "duckdb", "redis")
    running = asyncio.create_task(
        run_sinks(settings, [sink_of(store, settings) for store in wanted], stop)
    )
    try:
        await until(lambda: len(letters(settings)) >= 3)
        ids = {str(uuid.UUID(int=n)) for n in range(5)}
        bad = str(uuid.UUID(int=2))
        await rows(settings, "postgres", "decisions", len(ids) - 1)
        await rows(settings, "clickhouse", "events", len(ids) - 1)
        await rows(settings, "elasticsearch", "interactions", len(ids) - 1)
        await rows(settings, "duckdb", "decisions", len(ids))
        await rows(settings, "duckdb", "events", len(ids))
        await rows(settings, "redis", "latest_decisions", 1)
    finally:
        stop.set()
        await asyncio.wait_for(running, 30)
    said = {letter.detail.partition(":")[0]: letter for letter in letters(settings)}
    assert set(said) == {"postgres", "clickhouse", "elasticsearch"}
    for letter in said.values():
        assert letter.reason == "store_refused"
        assert bad in letter.raw.decode()
        assert letter.offset == 2
    assert "0x00" in said["postgres"].detail or "u0000" in said["postgres"].detail
    assert "1969" in said["clickhouse"].detail
    assert "occurred_at" in said["elasticsearch"].detail


async def rows(settings: Settings, store: str, table: str, count: int) -> None:
    """Waits until so many stand there."""
    async with asyncio.timeout(20):
        while [row.table async for row in audit_of(store, settings).stored()].count(table) != count:
            await asyncio.sleep(0.2)


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "not in time"
        await asyncio.sleep(0.2)


def letters(settings: Settings) -> list[DeadLetter]:
    found = committed_records(settings.kafka.bootstrap_servers, DEAD_LETTERS, 4)
    return [DeadLetter.model_validate_json(m.value()) for ms in found.values() for m in ms]
