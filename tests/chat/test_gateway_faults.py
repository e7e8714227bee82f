"""What falls over while people talk: gateway, Redis, Kafka; nothing is lost or comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis.asyncio
from example_chat.gateway_process import GatewayProcess
from example_chat.stack import chat_settings, gateway_at
from example_chat.talk import new_user, talking, token_of

from agents.metrics_chat import GatewayMetrics
from agents.topic_admin import create_topics
from chat.echoes import Echoes
from chat.live_queue import channel_of
from config.settings import KafkaSettings, Settings
from faults.command_process import CommandProcess
from servers import redis as redis_servers
from servers.kafka import Kafka, free_ports
from servers.kafka_jars import ServerUnavailable
from servers.store_server import StoreServer


@contextmanager
def own_gateway(settings: Settings, log: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(settings, log)
    try:
        yield process
    finally:
        process.kill()


@pytest.fixture
def own_redis() -> Iterator[StoreServer]:
    """A Redis that the test may kill."""
    try:
        server = redis_servers.start()
    except ServerUnavailable as error:
        pytest.skip(str(error))
    yield server
    server.stop()


async def test_a_gateway_killed_before_the_echo_has_lost_nothing(
    chat_with: Any, worker: CommandProcess, tmp_path: Path
) -> None:
    user, token = (user := new_user()), token_of(user)
    (port,) = free_ports(1)
    with own_gateway(chat_with(port=port), tmp_path / "gateway.log") as doomed:
        async with talking(doomed.url, token, session="s") as talk:
            await talk.say("first", id="m0")
            await talk.next("message")
            worker.freeze()
            try:
                await talk.say("kept", id="m1")
                await talk.next("accepted", id="m1")
                doomed.kill()
            finally:
                worker.wake()
            await talk.until_closed()
            assert talk.texts == ["first"]
    async with gateway_at(chat_with()) as url:
        async with talking(url, token, session="s", after=talk.last_id) as again:
            await again.say("kept", id="m1")
            await again.say("after", id="m2")
            await again.until(lambda: "after" in again.texts)
            assert again.texts == ["kept", "after"]
            assert again.of("accepted", id="m1")


async def test_a_gateway_asked_to_stop_ends_in_good_order(chat_with: Any, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    log = tmp_path / "gateway.log"
    with own_gateway(chat_with(port=port), log) as process:
        async with talking(process.url, token_of(new_user())) as talk:
            await talk.say("hello")
            await talk.until(lambda: talk.texts)
            ended = asyncio.create_task(asyncio.to_thread(process.terminate))
            assert await talk.until_closed() == 1001
            assert await ended == 0
    said = log.read_text()
    assert '{"connections":1}' in said
    assert token_of(new_user())[:20] not in said


async def test_what_is_said_while_redis_is_away_comes_when_it_is_back(
    chat_with: Any, chat_kafka: Settings, own_redis: StoreServer
) -> None:
    chat_with()  # a worker runs
    user, token = (user := new_user()), token_of(user)
    async with gateway_at(chat_settings(chat_kafka, own_redis.url)) as url:
        async with talking(url, token, session="s") as talk:
            await talk.say("before")
            await talk.until(lambda: talk.texts)
            own_redis.kill()
            for text in ("one", "two"):
                id = await talk.say(text)
                await talk.next("accepted", id=id)
            async with talking(url, token, session="s") as late:
                id = await late.say("three")
                await late.next("accepted", id=id)
                assert late.texts == []
                own_redis.start()
                await talk.until(lambda: len(talk.texts) == 4)
                await late.until(lambda: len(late.texts) == 4)
            assert talk.texts == late.texts == ["before", "one", "two", "three"]


async def test_a_redis_that_lost_everything_is_filled_again(
    gateway: str, redis_server: StoreServer
) -> None:
    """Also for who comes before anybody has spoken again, and for who is connected."""
    user, token = (user := new_user()), token_of(user)
    async with talking(gateway, token, session="s") as talk:
        for text in ("one", "two"):
            await talk.say(text)
        await talk.until(lambda: len(talk.texts) == 2)
        first = talk.of("message")[0]["id"]
        async with redis.asyncio.Redis.from_url(redis_server.url) as client:
            await client.flushall()
        async with talking(gateway, token, session="s", after=first) as again:
            await again.until(lambda: again.texts == ["two"])
            await talk.say("three")
            await again.until(lambda: again.texts == ["two", "three"])
            await talk.until(lambda: len(talk.texts) == 3)
        assert talk.texts == ["one", "two", "three"]


async def test_pieces_of_answers_come_again_after_redis_was_away(
    chat_with: Any, chat_kafka: Settings, own_redis: StoreServer
) -> None:
    chat_with()
    user, token = (user := new_user()), token_of(user)
    notice = orjson.dumps({"type": "notice", "code": "llm_away", "text": "later"})
    async with gateway_at(chat_settings(chat_kafka, own_redis.url)) as url:
        async with talking(url, token, session="s") as talk:
            await talk.say("hello")
            await talk.until(lambda: talk.texts)
            for _ in range(2):
                own_redis.kill()
                own_redis.start()
            channel = channel_of(user, "s")
            client = redis.asyncio.Redis.from_url(own_redis.url)
            async with client, asyncio.timeout(20):
                while not talk.of("notice"):
                    await client.publish(channel, notice)
                    await asyncio.sleep(0.05)


async def test_what_kafka_does_not_take_is_refused_and_may_be_sent_again(
    own_kafka: Callable[[], Kafka], redis_server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("acceptance", "gateway"):
        monkeypatch.setattr(f"chat.{module}.ACCEPT_SECONDS", 1.5)
    kafka = own_kafka()
    settings = Settings(_env_file=None, kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap))
    await create_topics(settings)
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.flushall()
    async with gateway_at(chat_settings(settings, redis_server.url)) as url:
        async with talking(url, token_of(new_user()), session="s") as talk:
            await talk.say("before", id="m0")
            await talk.next("accepted", id="m0")
            kafka.kill()
            await talk.say("lost?", id="m1")
            assert (await talk.next("refused", id="m1"))["code"] == "not_accepted"
            kafka.restart()

            async def again() -> None:
                while not talk.of("accepted", id="m1"):
                    await talk.say("lost?", id="m1")
                    await asyncio.sleep(2.5)

            async with asyncio.timeout(60):
                await again()


async def test_more_history_than_fits_the_queue_comes_all_the_same(chat_with: Any) -> None:
    user, token = (user := new_user()), token_of(user)
    settings = chat_with(queued_frames=16, messages_per_minute=6000, burst=100)
    async with gateway_at(settings) as url:
        async with talking(url, token, session="s") as talk:
            texts = [f"message {number}" for number in range(60)]
            for text in texts:
                await talk.next("accepted", id=await talk.say(text))
            await talk.until(lambda: len(talk.texts) == 60)
        async with talking(url, token, session="s") as again:
            await again.say("last")
            await again.until(lambda: "last" in again.texts)
            assert again.texts == [*texts, "last"]


async def test_who_lacks_what_redis_no_longer_has_is_told(
    gateway: str, redis_server: StoreServer
) -> None:
    user, token = (user := new_user()), token_of(user)
    async with talking(gateway, token, session="s") as talk:
        for text in ("one", "two", "three"):
            await talk.say(text)
        await talk.until(lambda: len(talk.texts) == 3)
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.xtrim(f"chat:session:{user}/s", maxlen=1, approximate=False)
    first, _, last = (frame["id"] for frame in talk.of("message"))
    async with talking(gateway, token, session="s", after=first) as again:
        await again.until(lambda: again.texts)
        assert again.texts == ["three"]
        assert [f["code"] for f in again.of("notice")] == ["older_messages_elsewhere"]
    async with talking(gateway, token, session="s", after=last) as up_to_date:
        await up_to_date.say("four")
        await up_to_date.until(lambda: up_to_date.texts)
        assert up_to_date.of("notice") == []


class FakeConnection:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def tell(self, frame: Any) -> None:
        self.told.append(frame.code)


class FakeMember:
    def __init__(self) -> None:
        self.connection = FakeConnection()


async def test_who_waits_for_long_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.echoes._LOOK_SECONDS", 0.01)
    echoes = Echoes(GatewayMetrics(), seconds=0.05)
    slow, quick = FakeMember(), FakeMember()
    clock = asyncio.get_running_loop().time
    echoes.kept(slow, "a", clock())  # type: ignore[arg-type]
    echoes.kept(quick, "b", clock())  # type: ignore[arg-type]
    echoes.came(quick, "b")  # type: ignore[arg-type]
    running = asyncio.create_task(echoes.run())
    await asyncio.sleep(0.2)
    assert slow.connection.told == ["answers_delayed"]
    assert quick.connection.told == []
    echoes.came(slow, "a")  # type: ignore[arg-type]
    echoes.kept(slow, "c", clock())  # type: ignore[arg-type]
    await asyncio.sleep(0.2)
    assert slow.connection.told == ["answers_delayed"] * 2
    running.cancel()
