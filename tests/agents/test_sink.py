"""What runs every sink: batches, outages, refusals and commits, on a real Kafka."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from confluent_kafka import Producer

from agents.sink import SinkAgent, SinkProgress, group_of, run_sinks
from agents.topics import DEAD_LETTERS, DECISIONS, EVENTS, TREE_VERSIONS, changelog
from config.settings import Settings, SinkSettings
from faults.committed_records import committed_records, group_lag
from schemas.dead_letter import DeadLetter
from schemas.errors import BrokerUnavailable
from schemas.sample_records import SAMPLES
from sink_suite.told_store import ToldStore

DECISION = SAMPLES["decision"][0][1]


def send(settings: Settings, topic: str, *values: bytes, key: str = "", partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for value in values:
        producer.produce(topic, value, key, partition=partition)
    assert producer.flush(10) == 0


def decisions(count: int) -> list[bytes]:
    return [
        json.dumps({**DECISION, "decision_id": str(uuid.UUID(int=number))}).encode()
        for number in range(count)
    ]


def quick(settings: Settings, **sink: object) -> Settings:
    limits = SinkSettings.model_validate(
        {"max_age_seconds": 0.1, "retry_first_seconds": 0.02, "retry_longest_seconds": 0.2} | sink
    )
    return settings.model_copy(update={"sink": limits})


@asynccontextmanager
async def running(settings: Settings, *stores: ToldStore) -> AsyncIterator[list[SinkProgress]]:
    """Runs the sinks while the block does; what they told last, store by store."""
    stop, told = asyncio.Event(), [SinkProgress(store.name) for store in stores]
    task = asyncio.create_task(run_sinks(settings, stores, stop))
    try:
        yield told
        stop.set()
        told[:] = await asyncio.wait_for(task, 20)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def lag(settings: Settings, store: ToldStore) -> int:
    return group_lag(settings, group_of(settings.worker.app_id, store.name), store.topics)


async def test_all_records_of_all_its_topics_once_each(fresh_kafka: Settings) -> None:
    store = ToldStore((DECISIONS, "profile"))
    send(fresh_kafka, DECISIONS, *decisions(250))
    profile = json.dumps(SAMPLES["profile"][0][1]).encode()
    topic = changelog(fresh_kafka.worker.app_id, "profile")
    send(fresh_kafka, topic, profile, key="u", partition=3)
    async with running(quick(fresh_kafka, max_records=100), store) as told:
        await until(lambda: len(store.rows) == 251)
    assert max(store.sizes) <= 100
    assert {topic for topic, _, _ in store.rows} == {DECISIONS, "profile"}
    assert store.rows["profile", 3, 0].key == "u"
    assert told[0].written == 251
    assert lag(fresh_kafka, store) == 0
    assert store.closed == 1


async def test_a_batch_ends_by_bytes(fresh_kafka: Settings) -> None:
    store = ToldStore((DECISIONS,))
    many = decisions(3000)
    send(fresh_kafka, DECISIONS, *many)
    async with running(quick(fresh_kafka, max_bytes=65_536), store):
        await until(lambda: len(store.rows) == 3000)
    # A fetch of a thousand may go beyond; two of them never do.
    assert max(store.sizes) <= 1000


async def test_what_was_committed_is_not_written_again(fresh_kafka: Settings) -> None:
    store = ToldStore((DECISIONS,))
    send(fresh_kafka, DECISIONS, *decisions(10))
    async with running(quick(fresh_kafka), store):
        await until(lambda: len(store.rows) == 10)
    send(fresh_kafka, DECISIONS, *decisions(3))
    store.sizes.clear()
    async with running(quick(fresh_kafka), store):
        await until(lambda: len(store.rows) == 13)
    assert sum(store.sizes) == 3


async def test_nothing_is_committed_before_the_store_has_answered(fresh_kafka: Settings) -> None:
    store = ToldStore((DECISIONS,))
    store.seconds_per_write = 60
    send(fresh_kafka, DECISIONS, *decisions(5))
    task = asyncio.create_task(run_sinks(quick(fresh_kafka), [store], asyncio.Event()))
    await until(lambda: store.tries == 2)
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert lag(fresh_kafka, store) == 5


async def test_a_store_that_is_away_is_tried_for_as_long_and_delays_no_other(
    fresh_kafka: Settings,
) -> None:
    away, there = ToldStore((DECISIONS,)), ToldStore((DECISIONS,))
    away.name, away.away = "away", True
    told: list[tuple[str, int, str]] = []
    send(fresh_kafka, DECISIONS, *decisions(20))
    stop = asyncio.Event()
    task = asyncio.create_task(
        run_sinks(
            quick(fresh_kafka),
            [away, there],
            stop,
            lambda p: told.append((p.store, p.behind, p.error)),
        )
    )
    await until(lambda: len(there.rows) == 20 and away.tries > 8)
    assert not away.rows
    assert lag(fresh_kafka, there) == 0
    assert lag(fresh_kafka, away) == 20
    assert any(store == "away" and "told is away" in error for store, _, error in told)
    away.away = False
    await until(lambda: len(away.rows) == 20)
    send(fresh_kafka, DECISIONS, *decisions(5))
    await until(lambda: len(away.rows) == 25)
    away.away = True
    send(fresh_kafka, DECISIONS, *decisions(5))
    await until(lambda: len(there.rows) == 30)
    stop.set()
    await asyncio.wait_for(task, 20)
    assert len(away.rows) == 25
    assert lag(fresh_kafka, away) == 5


async def test_only_the_refused_record_becomes_a_dead_letter(fresh_kafka: Settings) -> None:
    store = ToldStore((DECISIONS,))
    bad = {7, 8, 93}
    store.refuses = lambda record: record.offset in bad
    send(fresh_kafka, DECISIONS, *decisions(100))
    async with running(quick(fresh_kafka), store) as told:
        await until(lambda: len(store.rows) == 97 and lag(fresh_kafka, store) == 0)
    assert {offset for _, _, offset in store.rows} == set(range(100)) - bad
    assert (told[0].written, told[0].refused) == (97, 3)
    found = dead_letters(fresh_kafka)
    assert {letter.offset for letter in found} == bad
    assert len(found) == 3
    for letter in found:
        assert letter.reason == "store_refused"
        assert "told" in letter.detail
        assert "has no place here" in letter.detail
        assert letter.topic == DECISIONS
        assert json.loads(letter.raw)["decision_id"] == str(uuid.UUID(int=letter.offset))


async def test_a_refused_row_of_a_table_names_its_changelog(fresh_kafka: Settings) -> None:
    store = ToldStore(("profile",))
    store.refuses = lambda _: True
    topic = changelog(fresh_kafka.worker.app_id, "profile")
    send(fresh_kafka, topic, json.dumps(SAMPLES["profile"][0][1]).encode(), key="u")
    async with running(quick(fresh_kafka), store):
        await until(lambda: len(dead_letters(fresh_kafka)) == 1)
    assert dead_letters(fresh_kafka)[0].topic == topic
    assert dead_letters(fresh_kafka)[0].key == b"u"


async def test_what_is_no_record_of_its_topic_becomes_a_dead_letter(fresh_kafka: Settings) -> None:
    store = ToldStore((DECISIONS,))
    odd = [b"{", b"[]", json.dumps({**DECISION, "timestamp": "yesterday"}).encode()]
    send(fresh_kafka, DECISIONS, *odd, *decisions(2))
    async with running(quick(fresh_kafka), store):
        await until(lambda: len(store.rows) == 2)
    assert {letter.raw for letter in dead_letters(fresh_kafka)} == set(odd)


async def test_events_are_judged_as_the_worker_judges_them(fresh_kafka: Settings) -> None:
    """What is no event is the worker's dead letter, not the sink's; spelling is one."""
    store = ToldStore((EVENTS,))
    event = SAMPLES["learner-event"][0][1]
    shouted = {**event, "user_id": event["user_id"].upper()}
    send(
        fresh_kafka,
        EVENTS,
        json.dumps(shouted).encode(),
        b'{"type": "no.such"}',
        key=event["user_id"],
    )
    send(fresh_kafka, EVENTS, json.dumps(event).encode(), key="another key")
    async with running(quick(fresh_kafka), store):
        await until(lambda: len(store.rows) == 1 and lag(fresh_kafka, store) == 0)
    (record,) = store.rows.values()
    assert record.value is not None
    assert record.value["user_id"] == event["user_id"]
    assert json.loads(record.raw) == record.value
    assert not dead_letters(fresh_kafka)


async def test_version_0_of_each_tree_is_there_before_anything_else(fresh_kafka: Settings) -> None:
    store = ToldStore((TREE_VERSIONS,))
    async with running(quick(fresh_kafka), store):
        await until(lambda: bool(store.rows))
        first = list(store.rows.values())
    assert first[0].value is not None
    assert first[0].value["version"] == 0
    assert store.sizes == [2]


async def test_two_of_one_store_share_the_work(fresh_kafka: Settings) -> None:
    one, two = ToldStore((DECISIONS,)), ToldStore((DECISIONS,))
    sent = 0
    async with running(quick(fresh_kafka, max_records=10), one, two):
        # As long as it takes until both have joined: one alone would be through before.
        async with asyncio.timeout(60):
            while not (one.rows and two.rows):
                for partition in range(4):
                    send(fresh_kafka, DECISIONS, *decisions(10), partition=partition)
                sent += 40
                await asyncio.sleep(0.2)
        await until(lambda: len(one.rows | two.rows) == sent and lag(fresh_kafka, one) == 0)


async def test_a_sink_with_a_bug_ends_and_commits_nothing(fresh_kafka: Settings) -> None:
    store = ToldStore((DECISIONS,))

    def broken(_: object) -> bool:
        raise KeyError("no such column")

    store.refuses = broken
    send(fresh_kafka, DECISIONS, *decisions(3))
    with pytest.raises(KeyError, match="no such column"):
        await asyncio.wait_for(run_sinks(quick(fresh_kafka), [store], asyncio.Event()), 20)
    assert lag(fresh_kafka, store) == 3
    assert store.closed == 1


async def test_without_its_topics_it_says_what_to_do(fresh_kafka: Settings) -> None:
    other = fresh_kafka.worker.model_copy(update={"app_id": "nobody"})
    settings = fresh_kafka.model_copy(update={"worker": other})
    with pytest.raises(BrokerUnavailable, match="nobody-profile-changelog is not there"):
        await SinkAgent(settings, ToldStore(("profile",))).run(asyncio.Event())


def dead_letters(settings: Settings) -> list[DeadLetter]:
    found = committed_records(settings.kafka.bootstrap_servers, DEAD_LETTERS, 4)
    return [
        DeadLetter.model_validate_json(message.value())
        for messages in found.values()
        for message in messages
    ]
