"""The facilitator on a real Kafka: deliveries, answers, timeouts, restarts, several of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from example_streams.decided import LEARNERS, answer, decision, delivery_id_of

from agents import topics
from agents.embedded_kafka import EmbeddedKafka
from agents.facilitator import SOURCES, FacilitatorProgress, run_facilitator
from agents.facilitator_partition import group_of
from agents.worker import rules
from client.decisions import DeliveredDecisions
from config.settings import FacilitatorSettings, Settings
from faults.command_process import CommandProcess
from faults.committed_records import committed_records, group_lag
from schemas.contract import encode
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.decision import Decision
from schemas.delivery import Delivery, delivery_adapter
from schemas.errors import BrokerUnavailable, InvalidRecord
from streams.decode import Record, decode

SECONDS = 30
SESSION_SECONDS = 10
Holds = Callable[[], Awaitable[bool]]


def quick(settings: Settings, ack_timeout: float = 30, attempts: int = 2) -> Settings:
    facilitator = FacilitatorSettings(
        ack_timeout_seconds=ack_timeout, backoff=1.5, attempts=attempts
    )
    return settings.model_copy(update={"facilitator": facilitator})


def partition_of(decided: Decision) -> int:
    return LEARNERS.index(decided.user_id) % 4


def send(settings: Settings, topic: str, records: Iterable[tuple[str, bytes, int]]) -> None:
    """Keys, values and partitions."""
    producer = Producer(
        {"bootstrap.servers": settings.kafka.bootstrap_servers, "enable.idempotence": True}
    )
    for key, value, partition in records:
        producer.produce(topic, value, key, partition=partition)
    assert producer.flush(30) == 0


def decide(settings: Settings, *decided: Decision) -> None:
    send(settings, topics.DECISIONS, ((d.user_id, encode(d), partition_of(d)) for d in decided))


def acknowledge(settings: Settings, *decided: Decision, status: str = "success") -> None:
    at = datetime.now(UTC)
    send(
        settings,
        topics.ACKS,
        ((d.user_id, answer(d, status, at), partition_of(d)) for d in decided),
    )


async def values(settings: Settings, topic: str) -> list[dict[str, Any]]:
    """What is committed, partition by partition, without what was deleted."""
    found = await asyncio.to_thread(
        committed_records, settings.kafka.bootstrap_servers, topic, settings.kafka.partitions
    )
    return [
        {"partition": partition, **orjson.loads(message.value())}
        for partition, messages in found.items()
        for message in messages
        if message.value() is not None
    ]


async def said(settings: Settings) -> dict[str, list[tuple[str, int]]]:
    """By decision: its statuses and attempts, in order."""
    ways: dict[str, list[tuple[str, int]]] = {}
    for record in await values(settings, topics.DELIVERY_LOG):
        way = ways.setdefault(record["decision_id"], [])
        way.append((record["response_status"], record["attempt"]))
    return ways


async def pending(settings: Settings) -> set[str]:
    """Keys that the table holds."""
    kafka = settings.kafka
    topic = topics.changelog(settings.worker.app_id, topics.PENDING)
    found = await asyncio.to_thread(
        committed_records, kafka.bootstrap_servers, topic, kafka.partitions
    )
    last = {m.key(): m.value() for messages in found.values() for m in messages}
    return {key.decode() for key, value in last.items() if value is not None} - {"positions"}


async def until(holds: Holds, seconds: float = SECONDS) -> None:
    ends = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < ends, "it did not come in time"
        await asyncio.sleep(0.05)


async def until_said(settings: Settings, wanted: dict[str, list[tuple[str, int]]]) -> None:
    async def holds() -> bool:
        return await said(settings) == wanted

    try:
        await until(holds)
    except AssertionError:
        assert await said(settings) == wanted
        raise


@asynccontextmanager
async def running(
    settings: Settings, on_status: Callable[[Delivery], object] | None = None
) -> AsyncIterator[list[FacilitatorProgress]]:
    """A facilitator while the block runs; what it told last."""
    stop, told = asyncio.Event(), [FacilitatorProgress()]

    def tell(progress: FacilitatorProgress) -> None:
        told[0] = progress

    task = asyncio.create_task(run_facilitator(settings, stop, tell, on_status))
    try:
        yield told
        stop.set()
        await asyncio.wait_for(task, SECONDS)
    finally:
        task.cancel()
        await asyncio.wait([task])


def lag(settings: Settings) -> int:
    return group_lag(settings, group_of(settings.worker.app_id), SOURCES)


async def test_from_decision_to_answer_with_our_client(fresh_kafka: Settings) -> None:
    settings = quick(fresh_kafka)
    decided = [decision(n, LEARNERS[n]) for n in range(20)]
    refused, label = decided[7], decision(99, LEARNERS[50], "primary_classification")
    heard: list[Delivery] = []
    bootstrap = settings.kafka.bootstrap_servers
    async with (
        running(settings, heard.append) as told,
        DeliveredDecisions(bootstrap, group_id="query-strategy") as decisions,
    ):
        decide(settings, *decided, label)
        taken = {}
        async for taken_one in decisions:
            delivery = taken_one.delivery
            taken[delivery.decision_id] = delivery
            if delivery.decision_id == refused.decision_id:
                await taken_one.fail("no such learner")
            else:
                await taken_one.ack()
            if len(taken) == 21:
                break
        assert set(taken) == {d.decision_id for d in (*decided, label)}
        success = [("pending", 1), ("success", 1)]
        wanted = {d.decision_id: success for d in (*decided, label)}
        wanted[refused.decision_id] = [("pending", 1), ("fail", 1)]
        await until_said(settings, wanted)
    assert told[0].counts == {"pending": 21, "success": 20, "fail": 1}
    assert told[0].pending == 0
    assert Counter(d.response_status for d in heard) == told[0].counts
    assert await pending(settings) == set()
    assert lag(settings) == 0
    log = await values(settings, topics.DELIVERY_LOG)
    fails = [r for r in log if r["response_status"] == "fail"]
    assert [r["response_reason"] for r in fails] == ["no such learner"]
    place = {d.user_id: partition_of(d) for d in (*decided, label)}
    sent = await values(settings, topics.DELIVERIES)
    for record in (*log, *sent):
        assert record.pop("partition") == place[record["user_id"]]
        delivery_adapter.validate_json(orjson.dumps(record))
    assert all(0 < record["decision_latency_ms"] < 60_000 for record in sent)
    await events_are_those_of(settings, [d for d in decided if d is not refused])


async def events_are_those_of(settings: Settings, delivered: list[Decision]) -> None:
    """Valid as the worker judges them, in the learner's partition, one for each."""
    kafka = settings.kafka
    found = committed_records(kafka.bootstrap_servers, topics.EVENTS, kafka.partitions)
    told = {}
    for partition, messages in found.items():
        for message in messages:
            at = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
            record = Record(message.offset(), message.key(), message.value(), at)
            event = decode(record, rules(settings.worker))
            assert event.type == "strategy.delivered"
            assert event.source == "facilitator"
            assert event.decision_id not in told
            told[event.decision_id] = (event.user_id, partition)
    assert told == {d.decision_id: (d.user_id, partition_of(d)) for d in delivered}


async def test_without_an_answer_it_is_sent_again_and_then_a_dead_letter(
    fresh_kafka: Settings,
) -> None:
    settings = quick(fresh_kafka, ack_timeout=0.3, attempts=3)
    decided = decision(1, LEARNERS[2])
    async with running(settings) as told:
        decide(settings, decided)
        attempts = [(status, n) for n in (1, 2, 3) for status in ("pending", "timeout")]
        await until_said(settings, {decided.decision_id: attempts})
        acknowledge(settings, decided)
        await until(lambda: _holds(told[0].counts["ignored"] == 1))
    sent = await values(settings, topics.DELIVERIES)
    assert [record["attempt"] for record in sent] == [1, 2, 3]
    assert {record["delivery_id"] for record in sent} == {delivery_id_of(decided)}
    (letter,) = await dead_letters(settings)
    assert letter.reason is DeadLetterReason.NOT_ACKNOWLEDGED
    assert (letter.topic, letter.partition, letter.offset) == (topics.DECISIONS, 2, 0)
    assert delivery_adapter.validate_json(letter.raw).attempt == 3
    assert await pending(settings) == set()
    assert await values(settings, topics.EVENTS) == []


async def _holds(what: bool) -> bool:
    return what


async def dead_letters(settings: Settings) -> list[DeadLetter]:
    return [DeadLetter.model_validate(x) for x in await values(settings, topics.DEAD_LETTERS)]


async def test_a_newer_decision_supersedes_one_that_nobody_answered(
    fresh_kafka: Settings,
) -> None:
    settings = quick(fresh_kafka)
    old, new = decision(1), decision(2)
    other_tree = decision(3, tree_id="primary_classification")
    async with running(settings):
        decide(settings, old, other_tree)
        await until(lambda: _sent(settings, 2))
        decide(settings, new)
        await until(lambda: _sent(settings, 3))
        acknowledge(settings, old, new, other_tree)
        success = [("pending", 1), ("success", 1)]
        await until_said(
            settings,
            {
                old.decision_id: [("pending", 1), ("superseded", 1)],
                new.decision_id: success,
                other_tree.decision_id: success,
            },
        )
    log = await values(settings, topics.DELIVERY_LOG)
    (superseded,) = [r for r in log if r["response_status"] == "superseded"]
    assert new.decision_id in superseded["response_reason"]


async def _sent(settings: Settings, count: int) -> bool:
    return len(await values(settings, topics.DELIVERIES)) >= count


async def test_an_answer_given_while_it_was_down_is_no_timeout(fresh_kafka: Settings) -> None:
    settings = quick(fresh_kafka, ack_timeout=5)
    decided = [decision(n, LEARNERS[n]) for n in range(8)]
    async with running(settings):
        decide(settings, *decided)
        await until(lambda: _sent(settings, 8))
    acknowledge(settings, *decided)
    sent_at = [_time(d["delivery_timestamp"]) for d in await values(settings, topics.DELIVERIES)]
    overdue = max(sent_at).timestamp() + 5.2
    await until(lambda: _holds(time.time() > overdue))
    async with running(settings):
        await until_said(
            settings, {d.decision_id: [("pending", 1), ("success", 1)] for d in decided}
        )


async def test_timers_survive_a_restart(fresh_kafka: Settings) -> None:
    decided = decision(1)
    async with running(quick(fresh_kafka, ack_timeout=3)):
        decide(fresh_kafka, decided)
        await until(lambda: _sent(fresh_kafka, 1))
    assert await pending(fresh_kafka) == {f"{decided.user_id}|{decided.tree_id}"}
    (first,) = await values(fresh_kafka, topics.DELIVERIES)
    async with running(quick(fresh_kafka, ack_timeout=60)):
        await until(lambda: _sent(fresh_kafka, 2))
        acknowledge(fresh_kafka, decided)
        await until_said(
            fresh_kafka,
            {
                decided.decision_id: [
                    *(("pending", 1), ("timeout", 1)),
                    *(("pending", 2), ("success", 2)),
                ]
            },
        )
    again = (await values(fresh_kafka, topics.DELIVERIES))[1]
    waited = _time(again["delivery_timestamp"]) - _time(first["delivery_timestamp"])
    assert waited.total_seconds() >= 3


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_what_it_was_killed_with_goes_on(fresh_kafka: Settings, tmp_path: Path) -> None:
    settings = quick(fresh_kafka)
    named = settings.worker.model_copy(update={"instance_id": "one"})
    settings = settings.model_copy(update={"worker": named})
    decided = [decision(n, LEARNERS[n]) for n in range(40)]
    first = CommandProcess("facilitator", settings, tmp_path / "first.log")
    decide(settings, *decided)
    try:
        await until(lambda: _sent(settings, 40))
    finally:
        first.kill()
    acknowledge(settings, *decided[:20])
    acknowledge(settings, *decided[20:], status="fail")
    async with running(settings):
        wanted = {d.decision_id: [("pending", 1), ("success", 1)] for d in decided[:20]}
        wanted |= {d.decision_id: [("pending", 1), ("fail", 1)] for d in decided[20:]}
        await until_said(settings, wanted)


async def test_the_command_ends_in_good_order_with_its_counts(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    log = tmp_path / "facilitator.log"
    process = CommandProcess(f"facilitator --heartbeat {tmp_path / 'beat'}", fresh_kafka, log)
    try:
        decide(fresh_kafka, decision(1), decision(2, LEARNERS[1]))
        await until(lambda: _sent(fresh_kafka, 2))
        acknowledge(fresh_kafka, decision(1))
        await until(lambda: _holds_said(fresh_kafka, "success", 1))
        assert process.terminate() == 0
    finally:
        process.kill()
    assert orjson.loads(log.read_bytes().splitlines()[-1]) == {
        "counts": {"pending": 2, "success": 1},
        "pending": 0,
        "partitions": 0,
    }
    assert (tmp_path / "beat").exists()
    assert lag(fresh_kafka) == 0


async def test_several_share_the_partitions_as_they_come_and_go(fresh_kafka: Settings) -> None:
    settings = quick(fresh_kafka)
    decided = [decision(n, LEARNERS[n]) for n in range(160)]
    parts = [decided[n : n + 40] for n in range(0, 160, 40)]
    async with running(settings) as first:
        decide(settings, *parts[0])
        await until(lambda: _sent(settings, 40))
        async with running(settings) as second:
            decide(settings, *parts[1])
            acknowledge(settings, *parts[0])
            await until(lambda: _holds(first[0].partitions == second[0].partitions == 2))
            decide(settings, *parts[2])
            await until(lambda: _sent(settings, 120))
        acknowledge(settings, *parts[1], *parts[2])
        decide(settings, *parts[3])
        await until(lambda: _sent(settings, 160))
        acknowledge(settings, *parts[3])
        await until_said(
            settings, {d.decision_id: [("pending", 1), ("success", 1)] for d in decided}
        )
    assert len(await values(settings, topics.DELIVERIES)) == 160
    assert second[0].counts["pending"] > 0
    assert first[0].counts + second[0].counts == Counter({"pending": 160, "success": 160})
    assert lag(settings) == 0


async def test_one_that_was_frozen_until_others_took_over_changes_nothing(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    settings = quick(fresh_kafka, ack_timeout=60)
    before, meanwhile = decision(1), decision(2)
    frozen = CommandProcess("facilitator", settings, tmp_path / "frozen.log")
    try:
        decide(settings, before)
        await until(lambda: _sent(settings, 1))
        frozen.freeze()
        decide(settings, meanwhile)
        acknowledge(settings, before)
        async with running(settings):
            # The frozen one has the partition until its session ends.
            await until(lambda: _sent(settings, 2), SESSION_SECONDS + SECONDS)
            acknowledge(settings, meanwhile)
            success = [("pending", 1), ("success", 1)]
            wanted = {d.decision_id: success for d in (before, meanwhile)}
            await until_said(settings, wanted)
            frozen.wake()
            after = [decision(n, LEARNERS[n]) for n in range(3, 43)]
            decide(settings, *after)
            acknowledge_all = wanted | {d.decision_id: success for d in after}
            await until(lambda: _sent(settings, 42))
            acknowledge(settings, *after)
            await until_said(settings, acknowledge_all)
    finally:
        frozen.kill()


async def test_bad_answers_are_dead_letters_and_good_ones_go_on(fresh_kafka: Settings) -> None:
    settings = quick(fresh_kafka)
    decided = decision(1)
    somebody_else = answer(decision(2, LEARNERS[4]))
    bad = [b"{", b"", b"\xff", b"[]", answer(decided, "perhaps"), somebody_else]
    async with running(settings) as told:
        decide(settings, decided)
        await until(lambda: _sent(settings, 1))
        send(settings, topics.ACKS, ((decided.user_id, raw, 0) for raw in bad))
        send(settings, topics.ACKS, [(decided.user_id, answer(decided), 3)])
        acknowledge(settings, decided)
        await until_said(settings, {decided.decision_id: [("pending", 1), ("success", 1)]})
    letters = await dead_letters(settings)
    assert [letter.raw for letter in letters] == bad
    assert {letter.topic for letter in letters} == {topics.ACKS}
    assert letters[-1].reason is DeadLetterReason.KEY_MISMATCH
    assert [letter.offset for letter in letters] == list(range(len(bad)))
    assert told[0].counts == {"pending": 1, "success": 1, "dead": len(bad), "ignored": 1}


async def test_what_is_no_decision_is_a_dead_letter(fresh_kafka: Settings) -> None:
    settings = quick(fresh_kafka)
    decided = decision(1)
    async with running(settings):
        send(settings, topics.DECISIONS, [("x", b"no decision", 0), ("x", b"", 1)])
        decide(settings, decided)
        await until(lambda: _sent(settings, 1))
    assert [x.raw for x in await dead_letters(settings)] == [b"no decision", b""]


async def test_a_group_that_was_set_back_delivers_nothing_twice(fresh_kafka: Settings) -> None:
    settings = quick(fresh_kafka)
    decided = [decision(n, LEARNERS[n]) for n in range(8)]
    async with running(settings):
        decide(settings, *decided)
        await until(lambda: _sent(settings, 8))
        acknowledge(settings, *decided[:4])
        await until(lambda: _holds_said(settings, "success", 4))
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    starts = [TopicPartition(topic, p, 0) for topic in SOURCES for p in range(4)]
    group = ConsumerGroupTopicPartitions(group_of(settings.worker.app_id), starts)
    for done in admin.alter_consumer_group_offsets([group]).values():
        done.result(10)
    assert lag(settings) > 0
    async with running(settings) as told:
        await until(lambda: _holds(told[0].pending == 4))
        acknowledge(settings, *decided[4:])
        await until_said(
            settings, {d.decision_id: [("pending", 1), ("success", 1)] for d in decided}
        )
    assert told[0].counts == {"success": 4}
    assert lag(settings) == 0


async def _holds_said(settings: Settings, status: str, count: int) -> bool:
    ways = (await said(settings)).values()
    return sum(way[-1][0] == status for way in ways) == count


async def test_decisions_made_anew_under_its_table_stop_it(fresh_kafka: Settings) -> None:
    settings = quick(fresh_kafka)
    async with running(settings):
        decide(settings, decision(1))
        await until(lambda: _sent(settings, 1))
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    admin.delete_topics([topics.DECISIONS])[topics.DECISIONS].result()
    await until(lambda: _holds(topics.DECISIONS not in admin.list_topics(timeout=10).topics))
    admin.create_topics([NewTopic(topics.DECISIONS, 4, 1)])[topics.DECISIONS].result()
    await until(lambda: _holds(topics.DECISIONS in admin.list_topics(timeout=10).topics))
    with pytest.raises(InvalidRecord, match=r"made anew.*pending-changelog"):
        await asyncio.wait_for(run_facilitator(settings, asyncio.Event()), SECONDS)


@pytest.mark.parametrize("topic", [topics.ACKS, topics.DELIVERY_LOG])
async def test_a_topic_that_is_not_as_it_must_be_is_named(
    fresh_kafka: Settings, topic: str
) -> None:
    admin = AdminClient({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
    admin.delete_topics([topic])[topic].result()
    await until(lambda: _holds(topic not in admin.list_topics(timeout=10).topics))
    with pytest.raises(BrokerUnavailable, match=f"{topic} is not there.*topics create"):
        await run_facilitator(fresh_kafka, asyncio.Event())
    admin.create_topics([NewTopic(topic, 3, 1)])[topic].result()
    await until(lambda: _holds(topic in admin.list_topics(timeout=10).topics))
    with pytest.raises(BrokerUnavailable, match=f"{topic} has 3 partitions"):
        await run_facilitator(fresh_kafka, asyncio.Event())


async def test_a_table_that_cannot_be_read_stops_the_start(fresh_kafka: Settings) -> None:
    topic = topics.changelog(fresh_kafka.worker.app_id, topics.PENDING)
    send(fresh_kafka, topic, [("somebody|a_tree", b'{"from": "tomorrow"}', 1)])
    with pytest.raises(InvalidRecord, match="newer version"):
        await asyncio.wait_for(run_facilitator(fresh_kafka, asyncio.Event()), SECONDS)


async def test_on_the_embedded_broker_it_delivers_and_goes_on() -> None:
    decided = [decision(n, LEARNERS[n]) for n in range(12)]
    with EmbeddedKafka(quick(Settings(_env_file=None))) as embedded:
        settings = embedded.settings
        for part in (decided[:6], decided[6:]):
            async with running(settings):
                decide(settings, *part)
                # Of four partitions in no order; an answer before the delivery is to nothing.
                await until(lambda part=part: _delivered(settings, part))  # type: ignore[misc]
                acknowledge(settings, *part)
                success = [("pending", 1), ("success", 1)]
                known = decided[: decided.index(part[-1]) + 1]
                await until_said(settings, {d.decision_id: success for d in known})


async def _delivered(settings: Settings, decided: Sequence[Decision]) -> bool:
    sent = {delivery["event_id"] for delivery in await values(settings, topics.DELIVERIES)}
    return sent >= {each.event_id for each in decided}


async def test_a_broker_that_is_not_there_is_named() -> None:
    settings = Settings(_env_file=None, kafka={"bootstrap_servers": "127.0.0.1:9"})
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:9"):
        await run_facilitator(settings, asyncio.Event())
