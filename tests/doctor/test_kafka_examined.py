"""The examination of a real Kafka: well, and broken in a few ways."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from agents import topics
from agents.topic_admin import create_topics
from config.settings import DuckdbSettings, KafkaSettings, RedisSettings, Settings
from doctor import run
from doctor.finding import Finding
from doctor.run import examine
from faults.command_process import CommandProcess
from faults.committed_records import lag
from servers.kafka import Kafka, KafkaServer, free_ports
from servers.kafka_jars import ServerUnavailable
from servers.kafka_topics import wait_for_leaders
from servers.store_server import StoreServer

Findings = Mapping[tuple[str, str], Finding]
SECONDS = 60
USER = "0b9d7c1e-6a52-4a53-9a6b-2f3a5e8d1c00"


async def examined(settings: Settings, *stores: str) -> Findings:
    """Each finding by group and check; a second one of the same check would hide the first."""
    found = await examine(settings, stores, lambda _: None)
    named = {(finding.group, finding.check): finding for finding in found}
    assert len(named) == len(found), found
    return named


def event(number: int, user: str = USER) -> bytes:
    return json.dumps(
        {
            "event_id": f"8a4f0a3c-2f5b-4f1e-8a77-{number:012d}",
            "type": "quiz.submitted",
            "user_id": user,
            "course_id": "algebra",
            "occurred_at": f"2026-03-01T10:{number % 60:02d}:00Z",
            "question_id": f"q{number}",
            "score": 0.5,
        }
    ).encode()


def send(settings: Settings, count: int = 20) -> None:
    where = {"bootstrap.servers": settings.kafka.bootstrap_servers}
    producer = Producer({**where, "partitioner": "murmur2_random"})
    for number in range(count):
        producer.produce(topics.EVENTS, event(number), USER)
    assert producer.flush(30) == 0


def until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < ends, "it did not come in time"
        time.sleep(0.2)


def configure(bootstrap: str, topic: str, **values: str) -> None:
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in values.items()
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": bootstrap})  # kept until it has answered
    for done in admin.incremental_alter_configs([resource]).values():
        done.result()


async def test_a_kafka_on_which_nothing_ran_yet_is_well(fresh_kafka: Settings) -> None:
    found = await examined(fresh_kafka)
    kafka = {at: f for at, f in found.items() if at[0] not in {"settings", "this machine"}}
    assert [f for f in kafka.values() if f.state != "ok"] == []
    assert {
        ("kafka", "versions"), ("kafka", "broker settings"), ("kafka", "copies"),
        ("kafka", "disk"), ("kafka", "transactions"), ("topics", "there"),
        ("topics", "copies in sync"), ("topics", "compaction"), ("topics", "learners' partitions"),
        ("readers", "worker"), ("readers", "facilitator"), ("readers", "trainer"),
        ("trees", "versions"), ("trees", "prompts"), ("clocks", "kafka"),
    } == set(kafka)  # fmt: skip
    assert "transaction.version" in found["kafka", "versions"].found
    assert "free" in found["kafka", "disk"].found
    assert "this machine's" in found["clocks", "kafka"].found


async def test_the_group_that_asks_the_clock_is_gone_afterwards(fresh_kafka: Settings) -> None:
    await examined(fresh_kafka)
    admin = AdminClient({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
    groups = admin.list_consumer_groups().result().valid
    assert not [g.group_id for g in groups if g.group_id.startswith(fresh_kafka.worker.app_id)]


async def nobody_behind(settings: Settings) -> Findings:
    """What is found once all of them say that they are not, within seconds."""
    ends = time.monotonic() + SECONDS
    while True:
        found = await examined(settings)
        told = [found["readers", who].found for who in ("worker", "facilitator", "sink duckdb")]
        if all("0 records behind" in each for each in told):
            return found
        assert time.monotonic() < ends, told
        await asyncio.sleep(1)


async def test_a_stream_at_work_is_well(fresh_kafka: Settings, tmp_path: Path) -> None:
    settings = fresh_kafka.model_copy(
        update={"duckdb": DuckdbSettings(file=tmp_path / "learner.duckdb")}
    )
    send(settings)
    commands = ("worker", "facilitator", "trainer", "sink duckdb")
    processes = [
        CommandProcess(f"{command} --metrics-port 0", settings, tmp_path / command)
        for command in commands
    ]
    try:
        await asyncio.to_thread(until, lambda: lag(settings) == 0)
        await asyncio.to_thread(until, (tmp_path / "learner.duckdb").exists)
        found = await nobody_behind(settings)
        for who in ("worker", "facilitator", "sink duckdb", "trainer"):
            assert found["readers", who].state == "ok", found["readers", who]
        assert "1 member" in found["readers", "worker"].found
        assert found["trees", "versions"].state == "ok"
        assert "1 partitions have decided" in found["trees", "versions"].found
        assert found["trees", "prompts"].state == "ok"
        assert {f.state for at, f in found.items() if at[0] == "duckdb"} <= {"ok"}
    finally:
        for process in processes:
            process.kill()


async def test_what_is_wrong_with_topics_is_told(fresh_kafka: Settings) -> None:
    bootstrap = fresh_kafka.kafka.bootstrap_servers
    profile = topics.changelog(fresh_kafka.worker.app_id, "profile")
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.delete_topics([topics.CHAT])[topics.CHAT].result()
    until(lambda: topics.CHAT not in admin.list_topics(timeout=10).topics)
    configure(bootstrap, profile, cleanup_policy="delete")
    configure(bootstrap, topics.EVENTS, max_message_bytes="1048588")
    found = await examined(fresh_kafka)
    there = found["topics", "there"]
    assert (there.state, topics.CHAT in there.found) == ("wrong", True)
    policy = found["topics", profile]
    assert (policy.state, policy.found) == ("wrong", "cleanup.policy delete, need compact")
    assert found["topics", topics.EVENTS].found == "max.message.bytes 1048588, need 4194304"
    assert found["topics", topics.EVENTS].state == "wrong"


async def test_events_in_partitions_that_others_would_not_choose_are_told(
    fresh_kafka: Settings,
) -> None:
    check = ("topics", "learners' partitions")
    send(fresh_kafka)
    assert (await examined(fresh_kafka))[check].found == (
        "all of the 20 newest events are where murmur2 puts them"
    )
    crc32 = fresh_kafka.kafka.model_copy(update={"partitioner": "crc32"})
    found = (await examined(fresh_kafka.model_copy(update={"kafka": crc32})))[check]
    assert (found.state, "20 of the 20 newest events" in found.found) == ("wrong", True)
    assert found.advice == "LEARNER_KAFKA__PARTITIONER=murmur2 is what their producers do"
    partition = DefaultPartitioner()(USER.encode(), [0, 1, 2, 3], [0, 1, 2, 3])
    producer = Producer({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
    producer.produce(topics.EVENTS, event(21), USER, partition=(partition + 1) % 4)
    assert producer.flush(30) == 0
    found = (await examined(fresh_kafka))[check]
    assert (found.state, "1 of the 21" in found.found) == ("wrong", True)
    assert "must choose alike" in found.advice


async def test_events_that_nobody_reads_are_told(fresh_kafka: Settings) -> None:
    send(fresh_kafka)
    never = (await examined(fresh_kafka))["readers", "worker"]
    assert (never.state, "has never run; 20 records behind" in never.found) == ("wrong", True)
    consumer = Consumer(
        {
            "bootstrap.servers": fresh_kafka.kafka.bootstrap_servers,
            "group.id": fresh_kafka.worker.app_id,
        }
    )
    places = [TopicPartition(topics.EVENTS, number, 0) for number in range(4)]
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()
    left = (await examined(fresh_kafka))["readers", "worker"]
    assert (left.state, "nobody reads; 20 records behind" in left.found) == ("wrong", True)
    assert "learner worker" in left.advice


async def test_a_position_behind_the_end_of_a_topic_is_told(fresh_kafka: Settings) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": fresh_kafka.kafka.bootstrap_servers,
            "group.id": fresh_kafka.worker.app_id,
        }
    )
    consumer.commit(offsets=[TopicPartition(topics.EVENTS, 1, 77)], asynchronous=False)
    consumer.close()
    worker = (await examined(fresh_kafka))["readers", "worker"]
    assert (worker.state, f"{topics.EVENTS}/1" in worker.found) == ("wrong", True)


async def test_an_open_transaction_is_seen_and_hangs_once_it_is_old(
    fresh_kafka: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = Producer(
        {
            "bootstrap.servers": fresh_kafka.kafka.bootstrap_servers,
            "transactional.id": f"{fresh_kafka.worker.app_id}-lms",
        }
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topics.EVENTS, event(1), partition=2)
    assert producer.flush(30) == 0
    young = (await examined(fresh_kafka))["kafka", "transactions"]
    assert (young.state, "1 under way" in young.found) == ("ok", True)
    monkeypatch.setattr("doctor.transactions.LONGEST_SECONDS", 0.0)
    old = (await examined(fresh_kafka))["kafka", "transactions"]
    assert (old.state, f"{topics.EVENTS}/2 at offset 0" in old.found) == ("wrong", True)
    producer.abort_transaction(30)
    assert (await examined(fresh_kafka))["kafka", "transactions"].state == "ok"


@pytest.fixture
def lazy_kafka() -> Iterator[KafkaServer]:
    """One that never compacts."""
    try:
        server = KafkaServer(properties={"log.cleaner.enable": "false"})
        server.start()
    except ServerUnavailable as error:
        pytest.skip(f"a Kafka of its own: {error}")
    yield server
    server.stop()


async def test_changelogs_that_are_never_compacted_are_told(lazy_kafka: KafkaServer) -> None:
    settings = Settings(_env_file=None, kafka=KafkaSettings(bootstrap_servers=lazy_kafka.bootstrap))
    made = await create_topics(settings)
    wait_for_leaders(lazy_kafka.bootstrap, [report.topic for report in made])
    profile = topics.changelog(settings.worker.app_id, "profile")
    configure(lazy_kafka.bootstrap, profile, segment_bytes=str(1_048_576))
    producer = Producer({"bootstrap.servers": lazy_kafka.bootstrap})
    for number in range(4000):
        producer.produce(profile, bytes(1000), str(number % 10), partition=0)
        producer.poll(0)
    assert producer.flush(30) == 0
    found = await examined(settings)
    compaction = found["topics", "compaction"]
    assert (compaction.state, f"{profile}/0" in compaction.found) == ("warning", True), compaction
    assert found["kafka", "broker settings"].state == "wrong"


async def test_a_broker_that_is_away_is_one_line_and_the_rest_is_looked_at_all_the_same(
    redis_server: StoreServer,
) -> None:
    (nobody,) = free_ports(1)
    settings = Settings(
        _env_file=None,
        kafka=KafkaSettings(bootstrap_servers=f"127.0.0.1:{nobody}"),
        redis=RedisSettings(url=redis_server.url, password=redis_server.password),
    )
    found = await examined(settings)
    (kafka,) = [f for at, f in found.items() if at[0] == "kafka"]
    assert (kafka.state, f"127.0.0.1:{nobody}" in kafka.found) == ("wrong", True)
    assert found["redis", "version"].state == "ok"
    assert ("this machine", "python") in found


async def test_a_broker_that_hangs_costs_each_check_its_time_and_no_more(
    own_kafka: Callable[[], Kafka], monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = own_kafka()
    settings = Settings(_env_file=None, kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap))
    await create_topics(settings)
    assert kafka.pid is not None
    monkeypatch.setattr(run, "CHECK_SECONDS", 2.0)
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        found = await examined(settings)
        assert time.monotonic() - began < SECONDS
        assert [f for f in found.values() if f.group == "kafka" and f.state == "wrong"]
    finally:
        os.kill(kafka.pid, signal.SIGCONT)
