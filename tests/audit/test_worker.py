"""The worker's tables audited on a real Kafka: while it works, spoiled on purpose, cut by
retention."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import orjson
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from agents.topics import EVENTS, TREE_VERSIONS, changelog
from agents.worker import run_worker
from audit.run import Asked, StoreReport
from audit.worker import audit_worker
from audit.worker_rows import event_not_folded, row
from config.settings import Settings
from faults.committed_records import committed_records, lag
from schemas.errors import InvalidRecord
from simulation.classroom import simulate
from sink_suite.stream_records import published_versions
from streams.decode import Record
from streams.rules import Rules

BAD = b'{"bad'


def send(settings: Settings, topic: str, lines: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for line in lines:
        producer.produce(topic, line, "" if line == BAD else json.loads(line).get("user_id", ""))
    assert producer.flush(10) == 0


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(run_worker(settings, stop))
    try:
        yield
        stop.set()
        await asyncio.wait_for(task, 60)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def audited(settings: Settings, asked: Asked | None = None) -> StoreReport:
    return await audit_worker(settings, asked or Asked(), lambda _: None)


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.1)


def state_in(settings: Settings, table: str) -> tuple[int, str, bytes]:
    """Partition, key and value of some row that stands there last."""
    found = committed_records(
        settings.kafka.bootstrap_servers,
        changelog(settings.worker.app_id, table),
        settings.kafka.partitions,
    )
    return next(
        (partition, (messages[-1].key() or b"").decode(), messages[-1].value() or b"")
        for partition, messages in found.items()
        if messages
    )


def overwrite(
    settings: Settings, table: str, partition: int, key: str, value: bytes | None
) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    topic = changelog(settings.worker.app_id, table)
    producer.produce(topic, value, key, partition)
    assert producer.flush(10) == 0


async def test_in_step_while_it_works_and_versions_change(fresh_kafka: Settings) -> None:
    lines = list(simulate(10, 12, seed=3))
    half = len(lines) // 2
    async with working(fresh_kafka):
        send(fresh_kafka, EVENTS, [*lines[:half], BAD, *lines[:50]])
        report = await audited(fresh_kafka)
        assert report.in_step, report
        for version in published_versions():
            send(fresh_kafka, TREE_VERSIONS, [version.model_dump_json().encode()])

        async def load() -> None:
            for at in range(half, len(lines), 20):
                send(fresh_kafka, EVENTS, lines[at : at + 20])
                await asyncio.sleep(0.05)

        loading = asyncio.create_task(load())
        for _ in range(2):
            report = await audited(fresh_kafka)
            assert not any(map(report.total, ("missing", "extra", "different"))), report
        await loading
        report = await audited(fresh_kafka)
    assert report.in_step, report
    rows = {table.table: table.rows for table in report.tables}
    assert rows["behavior"] == rows["profile"] == 10
    assert rows["engagement"] >= 10
    assert rows["seen"] > 10


async def test_each_kind_of_difference_is_found_and_told(fresh_kafka: Settings) -> None:
    async with working(fresh_kafka):
        send(fresh_kafka, EVENTS, list(simulate(4, 6, seed=5)))
        assert (await audited(fresh_kafka)).in_step
    partition, learner, raw = state_in(fresh_kafka, "profile")
    spoiled = orjson.loads(raw) | {"age": 119}
    overwrite(fresh_kafka, "profile", partition, learner, orjson.dumps(spoiled))
    place, lost, _ = state_in(fresh_kafka, "engagement")
    overwrite(fresh_kafka, "engagement", place, lost, None)
    overwrite(fresh_kafka, "seen", partition, f"{learner}|1|0", b"12345678")
    report = await audited(fresh_kafka)
    assert not report.in_step
    found = {table.table: table for table in report.tables}
    assert found["behavior"].in_step
    (wrong,) = found["profile"].first
    assert (wrong.kind, wrong.id) == ("different", learner)
    assert wrong.fields == {"age": (119, orjson.loads(raw)["age"])}
    (missing,) = found["engagement"].first
    assert (missing.kind, missing.id) == ("missing", lost)
    assert missing.fields["user_id"] == (None, lost.partition("|")[0])
    (extra,) = found["seen"].first
    assert (extra.kind, extra.id) == ("extra", f"{learner}|1|0")
    assert extra.fields == {"ids": ([b"12345678".hex()], None)}
    assert [report.total(what) for what in ("missing", "extra", "different")] == [1, 1, 1]


async def test_a_worker_that_does_not_work_is_behind_and_what_it_has_is_right(
    fresh_kafka: Settings,
) -> None:
    async with working(fresh_kafka):
        send(fresh_kafka, EVENTS, list(simulate(3, 5, seed=5)))
        assert (await audited(fresh_kafka)).in_step
    more = list(simulate(3, 5, seed=6))
    send(fresh_kafka, EVENTS, more)
    report = await audited(fresh_kafka, Asked(wait_seconds=0))
    assert report.behind == len(more)
    assert not report.in_step
    assert all(table.in_step for table in report.tables)


async def test_only_what_was_changed_in_the_range_that_was_asked_for(
    fresh_kafka: Settings,
) -> None:
    async with working(fresh_kafka):
        send(fresh_kafka, EVENTS, list(simulate(3, 5, seed=5)))
        assert (await audited(fresh_kafka)).in_step
        partition, learner, _ = state_in(fresh_kafka, "profile")
        await asyncio.sleep(0.05)
        between = datetime.now(UTC)
        await asyncio.sleep(0.05)
        send(fresh_kafka, EVENTS, list(simulate(3, 5, seed=6)))
        assert (await audited(fresh_kafka)).in_step
    overwrite(fresh_kafka, "profile", partition, learner, None)
    assert (await audited(fresh_kafka)).total("missing") == 1
    assert (await audited(fresh_kafka, Asked(since=between))).in_step
    assert (await audited(fresh_kafka, Asked(until=between))).total("missing") == 1


async def test_a_log_without_its_beginning_says_what_can_still_be_compared(
    fresh_kafka: Settings,
) -> None:
    async with working(fresh_kafka):
        send(fresh_kafka, EVENTS, list(simulate(6, 8, seed=5)))
        await until(lambda: lag(fresh_kafka) == 0)
    admin = AdminClient({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
    partition, learner, _ = state_in(fresh_kafka, "behavior")
    (done,) = admin.delete_records([TopicPartition(EVENTS, partition, 20)]).values()
    done.result(10)
    report = await audited(fresh_kafka)
    assert report.in_step, report
    assert f"{EVENTS} partition {partition} goes back to offset 20 only (20" in report.note
    assert "Compared there was only" in report.note
    seen = {table.table: table.rows for table in report.tables}["seen"]
    assert seen > 20
    kept = committed_records(
        fresh_kafka.kafka.bootstrap_servers,
        changelog(fresh_kafka.worker.app_id, "seen"),
        fresh_kafka.kafka.partitions,
    )[partition]
    page = next(
        (message.key() or b"").decode()
        for message in reversed(kept)
        if (message.key() or b"").startswith(learner.encode())
    )
    overwrite(fresh_kafka, "seen", partition, page, None)
    report = await audited(fresh_kafka)
    assert report.total("missing") > 0
    assert page.rpartition("|")[0] in {
        d.id.rpartition("|")[0] for table in report.tables for d in table.first
    }


async def test_a_log_made_anew_is_said(fresh_kafka: Settings) -> None:
    for partition in range(fresh_kafka.kafka.partitions):
        overwrite(fresh_kafka, "seen", partition, "position", b"1000")
    with pytest.raises(InvalidRecord, match="folded up to 1000, but ends at 0: it was made anew"):
        await audited(fresh_kafka, Asked(wait_seconds=0))


def test_of_an_event_that_nobody_may_judge_nothing_is_said() -> None:
    empty: dict[str, dict[str, bytes]] = {"behavior": {}, "seen": {}}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    (line, *_) = simulate(1, 1, seed=1)
    event = orjson.loads(line)
    assert event_not_folded(Record(0, None, BAD, at), empty, Rules()) is None
    missing = event_not_folded(Record(0, None, line, at), empty, Rules())
    assert missing is not None
    assert missing.startswith(event["user_id"])
    spoiled = {"behavior": {event["user_id"]: b"{"}, "seen": {}}
    assert event_not_folded(Record(0, None, line, at), spoiled, Rules()) == missing
    assert row("profile", "k", b"{").values == {"no state": "{"}
    assert row("profile", "\udcff", b"[]") == ("profile", "\\xff", {"no state": "[]"})
    page = row("seen", "k", b"12345678abcdefgh")
    assert page.values == {"ids": [b"12345678".hex(), b"abcdefgh".hex()]}
