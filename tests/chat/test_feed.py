"""From chat.messages into Redis, on a real Kafka and Redis: whatever either of them loses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import redis.asyncio
from confluent_kafka import Producer
from example_chat.conversation import SESSION, USER, answered, said

from chat.feed import ChatFeed
from chat.live_queue import Entry, LiveQueue
from config.settings import ChatSettings, RedisSettings, Settings
from schemas.contract import encode
from schemas.errors import BrokerUnavailable, StoreUnavailable
from schemas.topics import CHAT
from servers.store_server import StoreServer

SECONDS = 20


class Feed:
    """A feed that runs, its queue, and what it has shown."""

    def __init__(self, settings: Settings) -> None:
        self.queue = LiveQueue(settings.redis, settings.chat)
        self.shown: list[int] = []
        self.feed = ChatFeed(settings, self.queue, self._show)
        self.stop = asyncio.Event()
        self._came = asyncio.Event()

    def _show(self, entries: Sequence[Entry]) -> None:
        self.shown += [entry.id for entry in entries]
        self._came.set()

    async def until_shown(self, ids: list[int]) -> None:
        async with asyncio.timeout(SECONDS):
            while self.shown != ids:
                self._came.clear()
                await self._came.wait()

    async def ids(self) -> list[int]:
        """Of the session, as Redis has it."""
        return [entry.id for entry in (await self.queue.resume(USER, SESSION)).entries]


@asynccontextmanager
async def feeding(settings: Settings) -> AsyncIterator[Feed]:
    feed = Feed(settings)
    running = asyncio.create_task(feed.feed.run(feed.stop))
    try:
        async with asyncio.timeout(SECONDS):
            await feed.feed.ready.wait()
        yield feed
    finally:
        feed.stop.set()
        await running
        await feed.queue.close()


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await holds():
            await asyncio.sleep(0.02)


@pytest.fixture
def settings(fresh_kafka: Settings, redis_server: StoreServer) -> Settings:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return fresh_kafka.model_copy(
        update={"redis": RedisSettings(url=redis_server.url, timeout_seconds=5)}
    )


@pytest.fixture
def write(settings: Settings) -> Callable[..., None]:
    """Writes messages to partition 0; offsets are their places."""
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})

    def send(*values: Entry | bytes) -> None:
        for value in values:
            raw = value if isinstance(value, bytes) else encode(value.record)
            producer.produce(CHAT, raw, key=USER, partition=0)
        assert producer.flush(10) == 0

    return send


@asynccontextmanager
async def redis_of(settings: Settings) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(settings.redis.url) as client:
        yield client


async def requests(settings: Settings) -> list[int]:
    async with redis_of(settings) as client:
        found = await client.xrange("chat:requests:0")
    return [int(id_.partition(b"-")[0]) for id_, _ in found]


async def test_what_was_before_is_in_redis_and_what_comes_is_shown(
    settings: Settings, write: Any
) -> None:
    write(said(0), answered(1, 0))
    async with feeding(settings) as feed:
        assert await feed.ids() == [0, 1]
        write(said(2), said(3))
        await feed.until_shown([2, 3])
        assert await feed.ids() == [0, 1, 2, 3]
        assert await requests(settings) == [2, 3]


async def test_what_redis_has_is_not_fed_again(settings: Settings, write: Any) -> None:
    write(said(0))
    async with feeding(settings):
        pass
    write(said(1))
    async with feeding(settings) as feed:
        assert await feed.ids() == [0, 1]
        assert feed.shown == []
        assert await requests(settings) == [0, 1]


async def test_several_gateways_feed_one_redis_and_each_shows_all(
    settings: Settings, write: Any
) -> None:
    async with feeding(settings) as one, feeding(settings) as two:
        for number in range(20):
            write(said(number))
        await one.until_shown(list(range(20)))
        await two.until_shown(list(range(20)))
        assert await one.ids() == list(range(20))
        assert await requests(settings) == list(range(20))


async def test_what_is_no_chat_record_is_passed_over(settings: Settings, write: Any) -> None:
    write(b"garbage", said(1))
    async with feeding(settings) as feed:
        assert await feed.ids() == [1]
        write(b"{}", said(3))
        await feed.until_shown([3])


async def test_a_redis_emptied_while_nobody_speaks_is_filled_again(
    settings: Settings, write: Any
) -> None:
    """The requests in it would wait for the next message otherwise."""
    async with feeding(settings) as feed:
        write(said(0), answered(1, 0), said(2))
        await feed.until_shown([0, 1, 2])
        async with redis_of(settings) as client:
            await client.flushall()

        async def filled() -> bool:
            return await feed.ids() == [0, 1, 2]

        await until(filled)
        assert await requests(settings) == [2]
        write(said(3))
        await feed.until_shown([0, 1, 2, 3])


async def test_a_redis_that_came_back_with_an_older_state_is_brought_up_to_date(
    settings: Settings, write: Any
) -> None:
    """As after a crash without ``appendfsync always``, or from a snapshot."""
    async with feeding(settings) as feed:
        write(said(0))
        await feed.until_shown([0])
        async with redis_of(settings) as client:
            older = {key: await client.dump(key) for key in await client.keys("chat:*")}
            write(said(1), said(2))
            await feed.until_shown([0, 1, 2])
            pipeline = client.pipeline(transaction=True)
            pipeline.flushall()
            for key, value in older.items():
                pipeline.restore(key, 0, value)
            await pipeline.execute()
        write(said(3))
        await feed.until_shown([0, 1, 2, 3])
        assert await feed.ids() == [0, 1, 2, 3]
        assert await requests(settings) == [0, 1, 2, 3]


async def test_a_queue_that_lacks_something_takes_nothing_after_it(settings: Settings) -> None:
    queue = LiveQueue(settings.redis, settings.chat)
    assert await queue.feed(0, [said(0)], 1, first=True)
    assert not await queue.feed(0, [said(5)], 6, since=5)
    assert await queue.feed(0, [said(1), said(5)], 6, since=1)
    assert await queue.feed(0, [said(5), said(6)], 7, since=5)
    await queue.close()


async def test_a_learner_in_two_partitions_stops_nobody(settings: Settings, write: Any) -> None:
    """An event that another partitioner put elsewhere has a smaller offset there."""
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    async with feeding(settings) as feed:
        write(said(0), said(1), said(2))
        await feed.until_shown([0, 1, 2])
        producer.produce(CHAT, encode(said(0, "astray").record), key=USER, partition=1)
        assert producer.flush(10) == 0
        await feed.until_shown([0, 1, 2, 0])
        write(said(3))
        await feed.until_shown([0, 1, 2, 0, 3])
        assert await feed.ids() == [0, 1, 2, 3]


async def test_while_redis_is_away_nothing_is_shown(
    settings: Settings, write: Any, redis_server: StoreServer
) -> None:
    async with feeding(settings) as feed:
        write(said(0))
        await feed.until_shown([0])
        redis_server.kill()
        try:
            write(said(1))
            async with asyncio.timeout(SECONDS):
                while feed.feed.ready.is_set():
                    await asyncio.sleep(0.02)
            assert feed.shown == [0]
        finally:
            redis_server.start()
        await feed.until_shown([0, 1])
        assert await feed.ids() == [0, 1]


async def test_only_so_much_history_is_fed_to_an_empty_redis(
    settings: Settings, write: Any
) -> None:
    old = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    producer.produce(CHAT, encode(said(0).record), key=USER, partition=0, timestamp=old)
    assert producer.flush(10) == 0
    write(said(1))
    async with feeding(settings) as feed:
        assert await feed.ids() == [1]


async def test_whether_redis_has_all_that_was_shown(settings: Settings, write: Any) -> None:
    async with feeding(settings) as feed:
        write(said(0))
        await feed.until_shown([0])
        positions = await feed.queue.positions()
        assert feed.feed.has_all(positions)
        assert not feed.feed.has_all({**positions, 0: positions[0] - 1})
        assert not feed.feed.has_all({})
    idle = ChatFeed(settings, LiveQueue(settings.redis, ChatSettings()), lambda _: None)
    assert not idle.has_all(positions)


async def test_a_redis_ahead_of_the_topic_is_named(settings: Settings, write: Any) -> None:
    """Nothing would be shown ever again, without a word."""
    write(said(0))
    async with redis_of(settings) as client:
        await client.hset("chat:position", "0", 100)
        feed = Feed(settings)
        running = asyncio.create_task(feed.feed.run(feed.stop))
        async with asyncio.timeout(SECONDS):
            await feed.feed.reading.wait()
        await asyncio.sleep(0.5)
        assert not feed.feed.ready.is_set()
        await client.delete("chat:position")
        async with asyncio.timeout(SECONDS):
            await feed.feed.ready.wait()
        assert await feed.ids() == [0]
    feed.stop.set()
    await running
    await feed.queue.close()


async def test_without_kafka_or_its_topic_it_does_not_run(redis_server: StoreServer) -> None:
    settings = Settings(_env_file=None, kafka={"bootstrap_servers": "127.0.0.1:9"})
    feed = Feed(settings)
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:9"):
        await feed.feed.run(feed.stop)
    await feed.queue.close()


async def test_what_another_gateway_fed_while_this_one_could_not_is_shown_all_the_same(
    settings: Settings, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with feeding(settings) as one, feeding(settings) as two:
        write(said(0))
        await two.until_shown([0])
        feed, cut_off = two.queue.feed, asyncio.Event()

        async def unavailable(*arguments: Any, **options: Any) -> bool:
            cut_off.set()
            raise StoreUnavailable("redis: not for this gateway")

        monkeypatch.setattr(two.queue, "feed", unavailable)
        write(said(1), said(2))
        await one.until_shown([0, 1, 2])
        await asyncio.wait_for(cut_off.wait(), SECONDS)
        monkeypatch.setattr(two.queue, "feed", feed)
        write(said(3))
        await two.until_shown([0, 1, 2, 3])
        assert await one.ids() == [0, 1, 2, 3]
