"""The query-strategy service's client on a real Kafka: repeats, crashes, rebalances."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError
from confluent_kafka import Producer
from example_streams.decided import LEARNERS, START, decision
from msgspec.structs import replace

from agents.topics import ACKS, DELIVERIES
from client import decisions as client_decisions
from client.consumer import Consumer
from client.decisions import DeliveredDecision, DeliveredDecisions
from config.settings import Settings
from faults.command_process import CommandProcess
from faults.committed_records import committed_records, group_lag
from schemas.contract import encode
from schemas.delivery import Delivery, DeliveryAck, ack_adapter
from schemas.errors import BrokerUnavailable
from servers.kafka_topics import delete_topics
from streams.delivery_records import DeliverableDecision, first_attempt

GROUP = "query-strategy"
SECONDS = 20


def delivery(number: int, attempt: int = 1) -> Delivery:
    decided = decision(number, LEARNERS[number])
    fields = DeliverableDecision.__dataclass_fields__
    told = DeliverableDecision(**{name: getattr(decided, name) for name in fields})
    return replace(first_attempt(told, START, START), attempt=attempt)


def deliver(settings: Settings, *values: Delivery | bytes, partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for value in values:
        raw = value if isinstance(value, bytes) else encode(value)
        producer.produce(DELIVERIES, raw, b"key", partition=partition)
    assert producer.flush(30) == 0


def client(settings: Settings) -> DeliveredDecisions:
    return DeliveredDecisions(settings.kafka.bootstrap_servers, group_id=GROUP)


async def take(decisions: DeliveredDecisions, count: int) -> list[DeliveredDecision]:
    async with asyncio.timeout(SECONDS):
        return [await anext(decisions) for _ in range(count)]


async def nothing_comes(decisions: DeliveredDecisions, seconds: float = 1.0) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await anext(decisions)
    except TimeoutError:
        return True
    return False


async def all_that_comes(decisions: DeliveredDecisions) -> list[DeliveredDecision]:
    """From the first to when nothing more comes for a moment."""
    taken = await take(decisions, 1)
    with contextlib.suppress(TimeoutError):
        while True:
            taken.append(await asyncio.wait_for(anext(decisions), 1))
    return taken


def numbers(taken: Iterable[DeliveredDecision]) -> list[int]:
    return [LEARNERS.index(one.delivery.user_id) for one in taken]


def answers(settings: Settings) -> list[DeliveryAck]:
    found = committed_records(settings.kafka.bootstrap_servers, ACKS, settings.kafka.partitions)
    return [
        ack_adapter.validate_json(message.value() or b"")
        for messages in found.values()
        for message in messages
    ]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await asyncio.to_thread(holds):
            await asyncio.sleep(0.05)


def lag(settings: Settings) -> int:
    return group_lag(settings, GROUP, (DELIVERIES,))


async def test_each_is_handed_out_and_answered_in_its_partition(fresh_kafka: Settings) -> None:
    for partition in range(4):
        sent = (delivery(n) for n in range(partition, 20, 4))
        deliver(fresh_kafka, *sent, partition=partition)
    async with client(fresh_kafka) as decisions:
        taken = await take(decisions, 20)
        for one in taken:
            await one.ack()
        assert await nothing_comes(decisions)
    assert sorted(numbers(taken)) == list(range(20))
    assert taken[0].delivery == delivery(numbers(taken)[0])
    found = committed_records(fresh_kafka.kafka.bootstrap_servers, ACKS, 4)
    for partition, messages in found.items():
        acks = [ack_adapter.validate_json(message.value() or b"") for message in messages]
        assert [LEARNERS.index(a.user_id) for a in acks] == list(range(partition, 20, 4))
        assert [message.key() for message in messages] == [a.user_id.encode() for a in acks]
        assert {(a.status, a.reason, a.consumer) for a in acks} == {("success", "", GROUP)}
    assert lag(fresh_kafka) == 0


async def test_a_decision_that_was_not_answered_for_comes_again(fresh_kafka: Settings) -> None:
    deliver(fresh_kafka, *map(delivery, range(5)))
    async with client(fresh_kafka) as decisions:
        first, second, third, *_ = await take(decisions, 5)
        await asyncio.gather(second.ack(), third.fail("not now"))
    assert lag(fresh_kafka) == 5
    async with client(fresh_kafka) as decisions:
        again = await take(decisions, 3)
        assert numbers(again) == [0, 3, 4]
        assert again[0].delivery == first.delivery
        for one in again:
            await one.ack()
        assert await nothing_comes(decisions)
    assert lag(fresh_kafka) == 0
    said: dict[int, set[tuple[str, str]]] = {}
    for ack in answers(fresh_kafka):
        said.setdefault(LEARNERS.index(ack.user_id), set()).add((ack.status, ack.reason))
    success = {("success", "")}
    assert said == {0: success, 1: success, 2: {("fail", "not now")}, 3: success, 4: success}


async def test_what_was_answered_for_but_not_committed_is_answered_again_and_not_handed_out(
    fresh_kafka: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crashed_before(self: DeliveredDecisions) -> None:
        pass

    deliver(fresh_kafka, *map(delivery, range(3)))
    with monkeypatch.context() as crash:
        crash.setattr(DeliveredDecisions, "_commit", crashed_before)
        async with client(fresh_kafka) as decisions:
            taken = await take(decisions, 2)
            await taken[0].ack()
            await taken[1].fail("no such learner")
    assert lag(fresh_kafka) == 3
    async with client(fresh_kafka) as decisions:
        (third,) = await take(decisions, 1)
        assert numbers([third]) == [2]
        await third.ack()
    assert lag(fresh_kafka) == 0
    said = [(LEARNERS.index(a.user_id), a.status, a.reason) for a in answers(fresh_kafka)]
    before = [(0, "success", ""), (1, "fail", "no such learner")]
    assert said == [*before, *before, (2, "success", "")]


async def test_a_repeat_is_not_handed_out_while_the_first_is_in_hand(
    fresh_kafka: Settings,
) -> None:
    deliver(fresh_kafka, delivery(1), delivery(1, attempt=2), delivery(2))
    async with client(fresh_kafka) as decisions:
        taken = await take(decisions, 2)
        deliver(fresh_kafka, delivery(1, attempt=3))
        assert await nothing_comes(decisions)
        assert numbers(taken) == [1, 2]
        await taken[1].ack()
        await taken[0].ack()
    assert [LEARNERS.index(a.user_id) for a in answers(fresh_kafka)] == [2, 1]
    assert lag(fresh_kafka) == 0


async def test_a_repeat_of_what_was_answered_for_is_answered_again(fresh_kafka: Settings) -> None:
    deliver(fresh_kafka, delivery(1), delivery(2))
    async with client(fresh_kafka) as decisions:
        taken = await take(decisions, 2)
        await taken[0].ack()
        await taken[1].fail("no room")
        deliver(fresh_kafka, delivery(1, attempt=2), delivery(2, attempt=2))
        assert await nothing_comes(decisions)
    deliver(fresh_kafka, delivery(2, attempt=3), delivery(3))
    async with client(fresh_kafka) as decisions:
        assert numbers(await take(decisions, 1)) == [3]
    said = [(LEARNERS.index(a.user_id), a.status, a.reason) for a in answers(fresh_kafka)]
    ack, fail = (1, "success", ""), (2, "fail", "no room")
    assert said == [ack, fail, ack, fail, fail]


async def test_of_other_consumers_answers_nothing_is_concluded(fresh_kafka: Settings) -> None:
    deliver(fresh_kafka, delivery(1))
    bootstrap = fresh_kafka.kafka.bootstrap_servers
    for group in ("another", GROUP):
        async with DeliveredDecisions(bootstrap, group_id=group) as decisions:
            (one,) = await take(decisions, 1)
            await one.ack()
    assert [a.consumer for a in answers(fresh_kafka)] == ["another", GROUP]


async def test_only_so_many_answers_are_remembered(
    fresh_kafka: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.in_hand.REMEMBERED", 3)
    monkeypatch.setattr(client_decisions, "REMEMBERED", 3)
    deliver(fresh_kafka, *map(delivery, range(5)))
    async with client(fresh_kafka) as decisions:
        for one in await take(decisions, 5):
            await one.ack()
        deliver(fresh_kafka, *(delivery(n, attempt=2) for n in range(5)))
        assert numbers(await take(decisions, 2)) == [0, 1]
        assert await nothing_comes(decisions)


async def test_an_answer_is_given_once_and_stays(fresh_kafka: Settings) -> None:
    deliver(fresh_kafka, delivery(1), delivery(2))
    async with client(fresh_kafka) as decisions:
        one, two = await take(decisions, 2)
        await one.ack()
        await one.ack()
        with pytest.raises(RuntimeError, match="answered with success"):
            await one.fail("on second thought")
        await two.fail("x" * 600)
    assert answers(fresh_kafka)[-1].reason == "x" * 500


async def test_partitions_that_move_with_decisions_in_hand(fresh_kafka: Settings) -> None:
    for partition in range(4):
        deliver(fresh_kafka, *map(delivery, range(partition, 40, 4)), partition=partition)
    async with client(fresh_kafka) as first:
        in_hand = sorted(await take(first, 40), key=lambda one: numbers([one]))
        for one in in_hand[:20]:
            await one.ack()
        async with client(fresh_kafka) as second:
            keep_reading = asyncio.create_task(nothing_comes(first, 3 * SECONDS))
            moved = numbers(await all_that_comes(second))
            # What the second gets is in the first one's hand, and not answered for yet.
            assert moved
            assert set(moved) <= set(numbers(in_hand[20:]))
            for one in in_hand[20:]:
                await one.ack()
            keep_reading.cancel()
            await asyncio.wait([keep_reading])
    said = {LEARNERS.index(a.user_id) for a in answers(fresh_kafka)}
    assert said == set(range(40))
    async with client(fresh_kafka) as third:
        assert await nothing_comes(third)
    assert lag(fresh_kafka) == 0


async def test_several_tasks_share_one_client(fresh_kafka: Settings) -> None:
    deliver(fresh_kafka, *map(delivery, range(60)))
    taken: list[int] = []
    async with client(fresh_kafka) as decisions:

        async def work() -> None:
            async for one in decisions:
                taken.extend(numbers([one]))
                await one.ack()

        tasks = [asyncio.create_task(work()) for _ in range(5)]
        await until(lambda: len(taken) == 60)
    await asyncio.wait_for(asyncio.gather(*tasks), SECONDS)  # it ends with the client
    assert sorted(taken) == list(range(60))
    assert lag(fresh_kafka) == 0


def transaction(settings: Settings, *values: Delivery, commit: bool) -> None:
    producer = Producer(
        {"bootstrap.servers": settings.kafka.bootstrap_servers, "transactional.id": "a-test"}
    )
    producer.init_transactions(10)
    producer.begin_transaction()
    for value in values:
        producer.produce(DELIVERIES, encode(value), partition=0)
    producer.flush(10)
    if commit:
        producer.commit_transaction(10)
    else:
        producer.abort_transaction(10)


async def test_only_what_was_committed_counts(fresh_kafka: Settings) -> None:
    transaction(fresh_kafka, delivery(1), commit=False)
    transaction(fresh_kafka, delivery(2), commit=True)
    async with client(fresh_kafka) as decisions:
        (one,) = await take(decisions, 1)
        assert numbers([one]) == [2]
        await one.ack()
        assert await nothing_comes(decisions)
    assert lag(fresh_kafka) == 0


async def test_whoever_gives_up_waiting_loses_nothing(
    fresh_kafka: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, go_on = asyncio.Event(), asyncio.Event()
    look_back = client_decisions.answered_before

    async def slow(*arguments: Any) -> Any:
        looking.set()
        await go_on.wait()
        return await look_back(*arguments)

    monkeypatch.setattr(client_decisions, "answered_before", slow)
    deliver(fresh_kafka, *map(delivery, range(3)))
    async with client(fresh_kafka) as decisions:
        waiting = asyncio.ensure_future(anext(decisions))
        await asyncio.wait_for(looking.wait(), SECONDS)
        waiting.cancel()
        await asyncio.wait([waiting])
        go_on.set()
        taken = await take(decisions, 3)
        assert numbers(taken) == [0, 1, 2]
    assert lag(fresh_kafka) == 3


async def test_an_error_in_between_loses_nothing(
    fresh_kafka: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_back, errors = client_decisions.answered_before, [KafkaConnectionError("away")]

    async def away_at_first(*arguments: Any) -> Any:
        if errors:
            raise errors.pop()
        return await look_back(*arguments)

    monkeypatch.setattr(client_decisions, "answered_before", away_at_first)
    for partition in range(2):
        deliver(fresh_kafka, delivery(partition), partition=partition)
    async with client(fresh_kafka) as decisions:
        with pytest.raises(BrokerUnavailable, match="away"):
            await take(decisions, 2)
        assert sorted(numbers(await take(decisions, 2))) == [0, 1]
    assert lag(fresh_kafka) == 2


async def test_what_is_no_delivery_is_passed_over_and_what_is_more_is_taken(
    fresh_kafka: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    newer = orjson.dumps({**orjson.loads(encode(delivery(1))), "mood": "of tomorrow"})
    deliver(fresh_kafka, b"no delivery", b"", newer)
    async with client(fresh_kafka) as decisions:
        (one,) = await take(decisions, 1)
        await one.ack()
    assert one.delivery == delivery(1)
    assert "offset 0 is no delivery" in caplog.text
    assert lag(fresh_kafka) == 0


async def test_whoever_answers_for_nothing_is_told(
    fresh_kafka: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_decisions, "MOST_IN_HAND", 10)
    deliver(fresh_kafka, *map(delivery, range(30)))
    async with client(fresh_kafka) as decisions:
        await take(decisions, 30)
        with pytest.raises(RuntimeError, match=r"30 decisions.*ack\(\) or fail\(\)"):
            await take(decisions, 1)


async def test_topics_that_are_not_there_are_named(fresh_kafka: Settings) -> None:
    delete_topics(fresh_kafka.kafka.bootstrap_servers)
    with pytest.raises(BrokerUnavailable, match=f"{DELIVERIES} is not there"):
        await client(fresh_kafka).__aenter__()


async def test_a_broker_that_is_not_there_is_named() -> None:
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:9"):
        await DeliveredDecisions("127.0.0.1:9", group_id=GROUP).__aenter__()


async def test_options_of_the_connection_go_to_every_client(
    fresh_kafka: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[dict[str, Any]] = []

    def telling(kind: Any) -> Any:
        def made(**options: Any) -> Any:
            used.append(options)
            return kind(**options)

        return made

    consumer = telling(Consumer)
    monkeypatch.setattr("client.decisions.Consumer", consumer)
    monkeypatch.setattr("client.answered_before.Consumer", consumer)
    monkeypatch.setattr("client.answers.AIOKafkaProducer", telling(AIOKafkaProducer))
    deliver(fresh_kafka, delivery(1))
    bootstrap = fresh_kafka.kafka.bootstrap_servers
    async with DeliveredDecisions(bootstrap, group_id=GROUP, client_id="tutor-7") as decisions:
        await take(decisions, 1)
    assert len(used) == 3
    assert {options["client_id"] for options in used} == {"tutor-7"}


def test_the_command_acknowledges_what_it_prints(fresh_kafka: Settings, tmp_path: Path) -> None:
    deliver(fresh_kafka, *map(delivery, range(8)))
    out = tmp_path / "deliveries.log"
    for command, acknowledged in (("deliveries --from-beginning", 0), ("deliveries --ack", 8)):
        out.write_text("")
        process = CommandProcess(command, fresh_kafka, out)
        try:
            asyncio.run(until(lambda: len(printed(out)) >= 8))
            asyncio.run(until(lambda n=acknowledged: len(answers(fresh_kafka)) == n))  # type: ignore[misc]
            assert process.terminate() == 0
        finally:
            process.kill()
        assert [line["delivery_id"] for line in printed(out)] == [
            delivery(n).delivery_id for n in range(8)
        ]
    assert {a.consumer for a in answers(fresh_kafka)} == {"learner-deliveries"}


def printed(file: Path) -> list[dict[str, Any]]:
    lines = file.read_bytes().splitlines()
    return [orjson.loads(line) for line in lines if line.startswith(b'{"delivery_id"')]
