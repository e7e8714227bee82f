"""The worker's tables rebuilt on a real Kafka: while workers go on, killed, fenced, cut short."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka.errors import TransactionalIdAuthorizationFailed
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from agents import table_rebuild
from agents.table_rebuild import TablesRebuilt, rebuild_tables
from agents.topics import EVENTS, TABLES, TREE_VERSIONS, changelog
from agents.transactions import PartitionProducer
from audit.kafka_log import kafka_log
from audit.run import Asked, StoreReport
from audit.worker import audit_worker
from config.settings import Settings
from faults.command_process import CommandProcess
from faults.committed_records import committed_records, lag
from faults.load import Load
from faults.log_oracle import compare_with_replay
from faults.running_sinks import until
from faults.supervised_workers import SupervisedWorkers
from schemas.errors import BrokerUnavailable, EditRefused, Fenced
from schemas.profile import Profile
from sink_suite.stream_records import published_versions
from streams.table_difference import Correction, corrections
from streams.tables import encode_value


def standing(settings: Settings, table: str) -> dict[str, tuple[int, bytes]]:
    """Partition and value of each key."""
    rows: dict[str, tuple[int, bytes]] = {}
    kafka = settings.kafka
    topic = changelog(settings.worker.app_id, table)
    for partition, messages in committed_records(
        kafka.bootstrap_servers, topic, kafka.partitions
    ).items():
        for message in messages:
            key = (message.key() or b"").decode()
            if message.value() is None:
                rows.pop(key, None)
            else:
                rows[key] = partition, message.value()
    return rows


def spoil(settings: Settings) -> None:
    """A third of the profiles says otherwise, a third is gone, and there are some of nobody."""
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for table in TABLES:
        topic = changelog(settings.worker.app_id, table)
        for number, (key, (partition, raw)) in enumerate(sorted(standing(settings, table).items())):
            if key == "position":
                continue
            if number % 3 == 0:
                producer.produce(topic, None, key, partition)
            elif number % 3 == 1:
                wrong = raw + b"12345678" if table == "seen" else _otherwise(table, raw)
                producer.produce(topic, wrong, key, partition)
            elif table == "profile":
                nobody = "00000000-0000-4000-8000-" + f"{number:012}"
                body = {**orjson.loads(raw), "user_id": nobody}
                producer.produce(topic, orjson.dumps(body), nobody, partition)
    assert producer.flush(20) == 0


def _otherwise(table: str, raw: bytes) -> bytes:
    name, value = {
        "profile": ("age", 7),
        "behavior": ("avg_score", 0.125),
        "engagement": ("offset", 0),
    }[table]
    return orjson.dumps({**orjson.loads(raw), name: value})


def wrong_rows(report: StoreReport) -> list[int]:
    return [report.total(what) for what in ("missing", "extra", "different")]


async def audited(settings: Settings, wait_seconds: float = 120) -> StoreReport:
    return await audit_worker(settings, Asked(wait_seconds=wait_seconds), lambda _: None)


async def rebuilt(settings: Settings) -> TablesRebuilt:
    async with kafka_log(settings.kafka) as log:
        return await rebuild_tables(settings, log.decided, lambda _: None)


async def loaded(settings: Settings, events: int, seed: int) -> None:
    load = Load(settings.kafka.bootstrap_servers, events, 2_000, seed)
    await asyncio.to_thread(load.start)
    await asyncio.to_thread(load.wait)
    await asyncio.to_thread(until, lambda: lag(settings) == 0, 120)


async def test_rebuilt_with_the_workers_stopped_then_they_go_on_as_if_nothing_had_been(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    kafka, app_id = fresh_kafka.kafka, fresh_kafka.worker.app_id
    workers = SupervisedWorkers(fresh_kafka, tmp_path)
    try:
        await loaded(fresh_kafka, 1_000, seed=31)
    finally:
        workers.stop()
    await asyncio.to_thread(spoil, fresh_kafka)
    wrong = wrong_rows(await audited(fresh_kafka))
    assert all(wrong), "otherwise the test shows nothing"
    done = await rebuilt(fresh_kafka)
    assert list(done[2:]) == wrong
    assert (await audited(fresh_kafka)).in_step
    assert (await rebuilt(fresh_kafka))[2:] == (0, 0, 0)
    workers = SupervisedWorkers(fresh_kafka, tmp_path)
    try:
        await loaded(fresh_kafka, 1_000, seed=32)
        assert not workers.exits
        assert (await audited(fresh_kafka)).in_step
    finally:
        workers.stop()
    # Decisions, examples and dead letters as well: none lost, none twice, none different.
    compare_with_replay(kafka.bootstrap_servers, kafka.partitions, app_id).assert_exact()


@pytest.mark.long
async def test_rebuilt_while_a_worker_goes_on_and_trees_change(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    workers = SupervisedWorkers(fresh_kafka, tmp_path)
    try:
        await loaded(fresh_kafka, 1_000, seed=33)
        await asyncio.to_thread(spoil, fresh_kafka)
        assert all(wrong_rows(await audited(fresh_kafka))), "otherwise the test shows nothing"
        meanwhile = Load(fresh_kafka.kafka.bootstrap_servers, None, 150, seed=34)
        await asyncio.to_thread(meanwhile.start)
        publish(fresh_kafka)
        try:
            done = await rebuilt(fresh_kafka)
            await asyncio.sleep(2)
        finally:
            meanwhile.stop()
            await asyncio.to_thread(meanwhile.wait)
        assert done.partitions == fresh_kafka.kafka.partitions
        assert done.events >= 1_000
        assert sum(done[2:]) > 20
        await asyncio.to_thread(until, lambda: lag(fresh_kafka) == 0, 180)
        report = await audited(fresh_kafka)
        assert report.in_step, report
        assert workers.exits, "the worker whose partitions were taken leaves"
        assert all(left.clear for left in workers.exits), workers.exits
    finally:
        workers.stop()


@pytest.mark.long
async def test_killed_at_any_moment_and_run_again(fresh_kafka: Settings, tmp_path: Path) -> None:
    workers = SupervisedWorkers(fresh_kafka, tmp_path)
    try:
        await loaded(fresh_kafka, 1_000, seed=35)
    finally:
        workers.stop()
    await asyncio.to_thread(spoil, fresh_kafka)
    before = sum(wrong_rows(await audited(fresh_kafka)))
    random_, log = random.Random(5), tmp_path / "rebuild.txt"
    for _ in range(4):
        process = CommandProcess("rebuild worker", fresh_kafka, log)
        await asyncio.sleep(1.5 + random_.uniform(0, 3))
        process.kill()
        wrong = sum(wrong_rows(await audited(fresh_kafka, 0)))
        assert wrong <= before, "no row is made worse"
        before = wrong
    process = CommandProcess("rebuild worker", fresh_kafka, log)
    assert await asyncio.to_thread(process.wait, 120) == 0, log.read_text()
    told = orjson.loads(log.read_text().splitlines()[-1])
    assert told["store"] == "worker"
    assert told["missing"] + told["extra"] + told["different"] == before
    report = await audited(fresh_kafka)
    assert report.in_step, report


async def test_a_worker_that_takes_a_partition_over_meanwhile_loses_nothing(
    fresh_kafka: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = SupervisedWorkers(fresh_kafka, tmp_path)
    try:
        await loaded(fresh_kafka, 500, seed=36)
    finally:
        workers.stop()
    await asyncio.to_thread(spoil, fresh_kafka)
    fencing = {"left": 2}
    correct = table_rebuild._PartitionRebuild._correct

    async def fenced(self: Any, producer: PartitionProducer, position: int) -> None:
        if fencing["left"]:
            fencing["left"] -= 1
            other = PartitionProducer(fresh_kafka.kafka, fresh_kafka.worker.app_id, self._source)
            await other.start()
            await other.stop()
        await correct(self, producer, position)

    monkeypatch.setattr(table_rebuild._PartitionRebuild, "_correct", fenced)
    assert sum((await rebuilt(fresh_kafka))[2:]) > 0
    assert fencing["left"] == 0
    assert (await audited(fresh_kafka)).in_step
    await asyncio.to_thread(spoil, fresh_kafka)
    fencing["left"] = 1_000
    with pytest.raises(Fenced, match=r"taken over by a worker each time.*stop the workers"):
        await rebuilt(fresh_kafka)


async def test_a_log_without_its_beginning_rebuilds_nothing(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    workers = SupervisedWorkers(fresh_kafka, tmp_path)
    try:
        await loaded(fresh_kafka, 200, seed=37)
    finally:
        workers.stop()
    admin = AdminClient({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
    last = fresh_kafka.kafka.partitions - 1
    (done,) = admin.delete_records([TopicPartition(EVENTS, last, 1)]).values()
    done.result(10)
    await asyncio.to_thread(spoil, fresh_kafka)
    before = {table: standing(fresh_kafka, table) for table in TABLES}
    with pytest.raises(EditRefused, match=rf"partition {last} begins at offset 1: Kafka has drop"):
        await rebuilt(fresh_kafka)
    assert {table: standing(fresh_kafka, table) for table in TABLES} == before


async def test_what_kafka_refuses_is_told_as_that_and_tried_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[str] = []

    class Refused:
        def __init__(self, *_: object) -> None: ...

        async def start(self) -> None:
            tries.append("start")
            raise TransactionalIdAuthorizationFailed("learner-0")

        async def stop(self) -> None:
            tries.append("stop")

    async def caught_up(self: Any) -> int:
        return 0

    monkeypatch.setattr(table_rebuild, "PartitionProducer", Refused)
    monkeypatch.setattr(table_rebuild._PartitionRebuild, "_catch_up", caught_up)
    unused: Any = None
    rebuild = table_rebuild._PartitionRebuild(Settings(), 0, unused, unused, unused)
    with pytest.raises(BrokerUnavailable, match="TransactionalIdAuthorizationFailed"):
        await rebuild.run()
    assert tries == ["start", "stop"]


def publish(settings: Settings) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for version in published_versions():
        producer.produce(TREE_VERSIONS, version.model_dump_json().encode(), version.tree_id)
    assert producer.flush(10) == 0


def test_only_what_is_wrong_is_corrected() -> None:
    same, other = Profile("a"), Profile("b", age=20)
    must = {"profile": {"a": same, "b": other, "c": Profile("c")}, "seen": {"d": b"12345678"}}
    stored = {
        "profile": {"a": encode_value(same), "b": b"{}", "z": b"{}"},
        "seen": {"d": b"12345678"},
    }
    assert list(corrections(stored, must)) == [
        Correction("profile", "b", encode_value(other), "different"),
        Correction("profile", "c", encode_value(Profile("c")), "missing"),
        Correction("profile", "z", None, "extra"),
    ]
