"""A question through Kafka, worker, Redis and a responder to one answer, whatever dies."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from chat.live_queue import channel_of
from chat.responder_process import run_responder
from config.settings import RedisSettings, ResponderSettings, Settings
from faults.command_process import CommandProcess
from responder_suite.conversation import (
    SECONDS,
    Conversation,
    conversation,
    named,
    question,
    responder,
    shown,
)
from schemas.chat import JOINED
from schemas.errors import BrokerUnavailable, InvalidSetting
from servers.kafka import free_ports
from servers.llm_stub import LlmStub, chunk, llm_stub, says, sends
from servers.redis import start as start_redis
from servers.store_server import StoreServer
from streams.derived_id import derived_id

Start = Callable[[Settings, LlmStub], Awaitable[CommandProcess]]


@pytest.fixture
def own_redis() -> Iterator[StoreServer]:
    """One that a test may kill, empty."""
    redis = start_redis()
    yield redis
    redis.stop()


@pytest.fixture
def settings(chat_kafka: Settings, worker: CommandProcess, own_redis: StoreServer) -> Settings:
    """Of a Kafka with its worker, which the tests of this file share, and of an empty Redis."""
    assert worker.alive
    return chat_kafka.model_copy(update={"redis": RedisSettings(url=own_redis.url)})


@pytest.fixture
async def talk(settings: Settings) -> AsyncIterator[Conversation]:
    async with conversation(settings) as talk:
        yield talk


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts responders that can be killed; as a supervisor does, again if Kafka was too slow."""
    started: list[CommandProcess] = []

    async def starts(settings: Settings, stub: LlmStub) -> CommandProcess:
        asks = ResponderSettings(llm_url=stub.url, next_token_seconds=60, answer_seconds=120)
        settings = settings.model_copy(update={"responder": asks})
        for _ in range(3):
            log = tmp_path / f"{len(started)}.log"
            started.append(CommandProcess("responder --metrics-port 0", settings, log))
            while started[-1].alive:
                if "metrics" in log.read_text():
                    return started[-1]
                await asyncio.sleep(0.1)
        raise AssertionError(log.read_text())

    yield starts
    for process in started:
        process.kill()


@pytest.fixture
async def stub() -> AsyncIterator[LlmStub]:
    async with llm_stub() as stub:
        yield stub


@pytest.fixture
def user() -> str:
    """A learner of the test's own."""
    return str(uuid.uuid4())


async def test_a_question_is_answered_once(
    talk: Conversation, settings: Settings, user: str
) -> None:
    asked = question(user, 1, "Hello! How am I doing?")
    async with talk.live.listening() as pubsub, responder(settings) as (stop, task):
        await pubsub.subscribe(channel_of(user, "s1"))
        talk.tell(asked)
        await talk.until_answered(1)
        stop.set()
        progress = await task
        told = ""
        while len(told) < len(talk.answers()[0].message_text):
            frame = await shown(pubsub)
            assert (frame["type"], frame["position"]) == ("token", len(told))
            told += frame["text"]
    (answer,) = talk.answers()
    assert answer.message_text == told
    assert answer.event_id == derived_id(asked.event_id, "answer")
    assert (answer.user_id, answer.session_id, answer.course_id) == (user, "s1", "algebra")
    assert (answer.message_direction, answer.responder) == ("system", "built-in")
    assert (answer.in_reply_to, answer.source) == (asked.event_id, "responder")
    assert answer.contextual_topic_id == "algebra-m1-t2"
    assert answer.related_skill == "algebra-procedure"
    assert answer.related_objective == "algebra-m1-objective"
    assert answer.searchable_tags
    assert not answer.hint_used
    assert answer.timestamp >= talk.records[0].timestamp
    assert answer.traceparent == talk.records[0].traceparent
    assert (progress.answered, progress.let_go, progress.waiting) == (1, 0, 0)
    async with Redis.from_url(settings.redis.url) as client:
        lengths = [await client.xlen(key) for key in await client.keys("chat:requests:*")]
        assert set(lengths) == {0}
        assert await client.keys("chat:lease:*") == []
        assert await client.zcard("chat:responders") == 0


async def test_a_hint_is_marked_as_one(talk: Conversation, settings: Settings, user: str) -> None:
    async with responder(settings):
        talk.tell(question(user, 1, "a hint, please", hint_used=True))
        await talk.until_answered(1)
    assert talk.answers()[0].hint_used


async def test_two_responders_answer_many_sessions_in_order(
    talk: Conversation, settings: Settings
) -> None:
    users = [str(uuid.uuid4()) for _ in range(12)]
    questions = [question(user, turn) for turn in range(4) for user in users]
    async with AsyncExitStack() as stack:
        stop_first, first = await stack.enter_async_context(responder(settings))
        _, second = await stack.enter_async_context(responder(settings))
        talk.tell(*questions[:24])
        await talk.until_answered(24)
        async with Redis.from_url(settings.redis.url) as client:
            await until_shared(client, [2, 2])
        talk.tell(*questions[24:])
        await talk.until_answered(48)
        stop_first.set()
        done = [(await first).answered]
        talk.tell(question(users[0], "after it left"))
        await talk.until_answered(49)
    done.append((await second).answered)
    assert all(done)
    assert sum(done) == 49
    talk.assert_each_answered_once(49)
    for user in users:
        said = [r for r in talk.records if r.user_id == user]
        asked = [r.event_id for r in said if r.message_direction == "user"]
        assert [r.in_reply_to for r in said if r.in_reply_to] == asked


async def until_shared(client: Redis, shares: list[int]) -> None:
    """Until so many partitions belong to each responder."""
    async with asyncio.timeout(SECONDS):
        while True:
            holders = [await client.get(key) for key in await client.keys("chat:lease:*")]
            if sorted(Counter(holders).values()) == shares:
                return
            await asyncio.sleep(0.1)


async def test_one_killed_in_mid_answer_is_followed_by_another(
    talk: Conversation,
    settings: Settings,
    stub: LlmStub,
    start: Start,
    user: str,
) -> None:
    stub.plays(sends(chunk("I thi"), ends="stall"))
    dead = await start(settings, stub)
    async with talk.live.listening() as pubsub:
        await pubsub.subscribe(channel_of(user, "s1"))
        talk.tell(*[question(user, number) for number in (1, 2, 3)])
        assert (await shown(pubsub))["text"] == "I thi"
        dead.kill()
    stub.plays(says("Because of that."))
    await start(settings, stub)
    await talk.until_answered(3)
    talk.assert_each_answered_once(3)
    assert [r.in_reply_to for r in talk.answers()] == [named(user, n) for n in (1, 2, 3)]
    assert {r.message_text for r in talk.answers()} == {"Because of that."}


async def test_one_that_wakes_late_does_no_harm(
    talk: Conversation,
    settings: Settings,
    stub: LlmStub,
    start: Start,
    user: str,
) -> None:
    stub.plays(sends(chunk("Late "), ends="stall"), says("In time."))
    zombie = await start(settings, stub)
    async with talk.live.listening() as pubsub:
        await pubsub.subscribe(channel_of(user, "s1"))
        talk.tell(question(user, 1), question(user, 2))
        assert (await shown(pubsub))["text"] == "Late "
        zombie.freeze()
    heir = await start(settings, stub)
    await talk.until_answered(2)
    zombie.wake()
    talk.tell(question(user, 3))
    await talk.until_answered(3)
    heir.kill()
    talk.tell(question(user, 4))
    await talk.until_answered(4)
    talk.assert_each_answered_once(4)
    assert {r.message_text for r in talk.answers()} == {"In time."}
    assert await asyncio.to_thread(zombie.terminate) == 0


async def test_one_told_to_stop_finishes_what_it_began(
    talk: Conversation,
    settings: Settings,
    stub: LlmStub,
    start: Start,
    user: str,
) -> None:
    stub.plays(sends(chunk("One "), 2.0, chunk("moment."), chunk(finish="stop")))
    first = await start(settings, stub)
    async with talk.live.listening() as pubsub:
        await pubsub.subscribe(channel_of(user, "s1"))
        talk.tell(question(user, 1), question(user, 2))
        assert (await shown(pubsub))["text"] == "One "
    assert await asyncio.to_thread(first.terminate) == 0
    await talk.until_answered(1)
    assert [r.in_reply_to for r in talk.answers()] == [named(user, 1)]
    async with Redis.from_url(settings.redis.url) as client:
        assert await client.keys("chat:lease:*") == []
    await start(settings, stub)
    await talk.until_answered(2)
    talk.assert_each_answered_once(2)


async def test_a_redis_that_loses_everything(
    talk: Conversation,
    settings: Settings,
    stub: LlmStub,
    start: Start,
    user: str,
) -> None:
    stub.plays(sends(chunk("One "), 2.0, chunk("moment."), chunk(finish="stop")))
    await start(settings, stub)
    talk.tell(*[question(str(uuid.uuid4()), 1) for _ in range(5)])
    async with asyncio.timeout(SECONDS):
        while not stub.open:
            await asyncio.sleep(0.05)
    async with Redis.from_url(settings.redis.url) as client:
        await client.flushall()
    await talk.until_answered(5)
    talk.tell(question(user, "later"))
    await talk.until_answered(6)
    talk.assert_each_answered_once(6)


async def test_a_redis_that_is_away(
    talk: Conversation, settings: Settings, own_redis: StoreServer, user: str
) -> None:
    async with responder(settings) as (_, task):
        talk.tell(question(user, 1))
        await talk.until_answered(1)
        own_redis.kill()
        talk.tell(question(user, 2), question(user, 3))
        await asyncio.sleep(2)  # several looks at a Redis that is not there
        assert not task.done()
        own_redis.start()
        await talk.until_answered(3)
    talk.assert_each_answered_once(3)


async def test_an_expert_who_joins_in_mid_answer_has_the_word(
    talk: Conversation, settings: Settings, stub: LlmStub, user: str
) -> None:
    stub.plays(sends(chunk("I thi"), 3.0, chunk("nk"), chunk(finish="stop")))
    asks = ResponderSettings(llm_url=stub.url)
    joins = {"message_direction": "system", "responder": "expert:Ada", "feedback_flags": [JOINED]}
    async with talk.live.listening() as pubsub:
        await pubsub.subscribe(channel_of(user, "s1"))
        async with responder(settings.model_copy(update={"responder": asks})) as (stop, task):
            talk.tell(question(user, 1))
            assert (await shown(pubsub))["text"] == "I thi"
            talk.tell(question(user, "joins", "Ada has joined.", **joins))
            while not (await shown(pubsub))["restart"]:
                pass
            stop.set()
            progress = await task
    assert talk.answers() == []
    assert (progress.answered, progress.let_go) == (0, 1)


async def test_a_kafka_or_an_address_that_is_not_there_is_named(own_redis: StoreServer) -> None:
    (port,) = free_ports(1)
    kafka = {"bootstrap_servers": f"127.0.0.1:{port}"}
    given: dict[str, Any] = {"_env_file": None, "kafka": kafka, "redis": {"url": own_redis.url}}
    with pytest.raises(BrokerUnavailable, match=str(port)):
        await run_responder(Settings(**given), asyncio.Event())
    given["responder"] = {"llm_url": "ftp://nowhere"}
    with pytest.raises(InvalidSetting, match="LEARNER_RESPONDER__LLM_URL"):
        await run_responder(Settings(**given), asyncio.Event())
