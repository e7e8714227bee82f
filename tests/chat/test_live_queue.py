"""The live queue on a real Redis: ids are offsets, each message once, Redis may be lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from example_chat.conversation import SESSION, USER, answered, event_id, said

from chat.live_queue import Entry, LiveQueue, channel_of, session_name
from config.settings import ChatSettings, RedisSettings
from schemas.chat import ENDED, JOINED, LEFT
from schemas.errors import StoreUnavailable
from servers.store_server import StoreServer


@pytest.fixture
async def client(redis_server: StoreServer) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.flushdb()
        yield client


@pytest.fixture
async def queue(redis_server: StoreServer, client: redis.asyncio.Redis) -> AsyncIterator[LiveQueue]:
    queue = LiveQueue(RedisSettings(url=redis_server.url), ChatSettings())
    yield queue
    await queue.close()


async def requests(client: redis.asyncio.Redis, partition: int = 0) -> list[int]:
    found = await client.xrange(f"chat:requests:{partition}")
    return [int(id_.partition(b"-")[0]) for id_, _ in found]


async def test_a_session_is_the_log_from_an_id_on(
    queue: LiveQueue, client: redis.asyncio.Redis
) -> None:
    entries = [said(0), answered(1, 0), said(5, user_id=event_id("other")), said(7)]
    assert await queue.feed(0, entries, 9, first=True)
    assert (await queue.resume(USER, SESSION)).entries == [entries[0], entries[1], entries[3]]
    assert (await queue.resume(USER, SESSION, after=1)).entries == [entries[1], entries[3]]
    assert (await queue.resume(USER, SESSION, after=8)).entries == []
    assert await queue.position(0) == 9
    assert await queue.position(1) is None


async def test_what_was_fed_before_changes_nothing(
    queue: LiveQueue, client: redis.asyncio.Redis
) -> None:
    entries = [said(3), said(4), said(8)]
    await queue.feed(0, entries[:2], 5, first=True)
    await queue.feed(0, entries, 9)
    await queue.feed(0, entries[:1], 4)
    assert (await queue.resume(USER, SESSION)).entries == entries
    assert await requests(client) == [3, 4, 8]
    assert await queue.position(0) == 9


async def test_many_feeders_at_once(queue: LiveQueue, client: redis.asyncio.Redis) -> None:
    entries = [said(offset) for offset in range(350)]

    async def feeder(step: int) -> None:
        for at in range(0, len(entries), step):
            part = entries[at : at + step]
            assert await queue.feed(0, part, part[-1].id + 1, first=True)

    await asyncio.gather(*(feeder(step) for step in (7, 60, 101, 350)))
    assert [e.id for e in (await queue.resume(USER, SESSION)).entries] == list(range(350))
    assert await requests(client) == list(range(350))


async def test_a_redis_that_lost_everything_says_so(
    queue: LiveQueue, client: redis.asyncio.Redis
) -> None:
    await queue.feed(0, [said(3)], 4, first=True)
    await client.flushdb()
    assert not await queue.feed(0, [said(4)], 5)
    assert await requests(client) == []
    assert await queue.feed(0, [said(3), answered(4, 3), said(5)], 6, first=True)
    assert await requests(client) == [3, 5]


async def test_what_is_answered_further_on_is_not_asked_again(
    queue: LiveQueue, client: redis.asyncio.Redis
) -> None:
    ahead = frozenset({event_id(3)})
    await queue.feed(0, [said(3), said(4)], 5, first=True, answered=ahead)
    assert await requests(client) == [4]


async def test_an_expert_takes_over_and_hands_back(
    queue: LiveQueue, client: redis.asyncio.Redis
) -> None:
    joined = answered(1, 0, responder="expert:Ada", feedback_flags=(JOINED,), in_reply_to=None)
    left = answered(3, 0, responder="expert:Ada", feedback_flags=(LEFT,), in_reply_to=None)
    await queue.feed(0, [said(0), joined, said(2)], 3, first=True)
    assert await queue.owner(USER, SESSION) == "expert:Ada"
    ((last, owner),) = await queue.open_sessions(10)
    assert (last.id, owner) == (2, "expert:Ada")
    await queue.feed(0, [left, said(4)], 5)
    assert await queue.owner(USER, SESSION) == ""
    assert await requests(client) == [0, 3, 4], "what the expert left open is asked of a responder"


async def test_an_ended_session_is_no_longer_open(
    queue: LiveQueue, client: redis.asyncio.Redis
) -> None:
    end = answered(1, 0, feedback_flags=(ENDED,), in_reply_to=None, responder="gateway")
    await queue.feed(0, [said(0), end], 2, first=True)
    assert await queue.open_sessions(10) == []
    assert len((await queue.resume(USER, SESSION)).entries) == 2


async def test_everything_but_positions_expires(
    queue: LiveQueue, client: redis.asyncio.Redis
) -> None:
    await queue.feed(0, [said(0), answered(1, 0)], 2, first=True)
    for key in (f"chat:session:{session_name(USER, SESSION)}", f"chat:answered:{event_id(0)}"):
        assert 0 < await client.ttl(key) <= ChatSettings().history_seconds


async def test_a_frame_reaches_who_listens(queue: LiveQueue, client: redis.asyncio.Redis) -> None:
    async with queue.listening() as pubsub:
        await pubsub.subscribe(channel_of(USER, SESSION))
        async with asyncio.timeout(5):
            while (await client.pubsub_numsub(channel_of(USER, SESSION)))[0][1] == 0:
                await asyncio.sleep(0.01)
            await queue.tell(USER, SESSION, b"hello")
            while (message := await pubsub.get_message(timeout=1)) is None:
                pass
    assert message["data"] == b"hello"


def test_entries_are_known_by_their_place() -> None:
    assert isinstance(said(4), Entry)
    assert said(4) == said(4) != said(5)


async def test_the_open_sessions_of_one_course_are_found_behind_those_of_others(
    queue: LiveQueue,
) -> None:
    courses = ["algebra", *["history"] * 5, "algebra", *["history"] * 5]
    entries = [
        said(offset, session_id=f"s{offset}", course_id=course)
        for offset, course in enumerate(courses)
    ]
    await queue.feed(0, entries, len(entries), first=True)
    for most, ids in ((3, [6, 0]), (2, [6, 0]), (1, [6])):
        assert [entry.id for entry, _ in await queue.open_sessions(most, "algebra")] == ids
    assert [entry.id for entry, _ in await queue.open_sessions(3)] == [11, 10, 9]
    assert len(await queue.open_sessions(5, "history")) == 5
    assert await queue.open_sessions(3, "physics") == []


async def test_a_record_of_another_version_is_left_out(
    queue: LiveQueue, client: redis.asyncio.Redis
) -> None:
    await queue.feed(0, [said(0)], 1, first=True)
    name = session_name(USER, SESSION)
    await client.xadd(f"chat:session:{name}", {"record": b'{"of": "tomorrow"}'}, id="1-1")
    assert await queue.open_sessions(10) == []
    await queue.feed(0, [said(2)], 3)
    assert [entry.id for entry in (await queue.resume(USER, SESSION)).entries] == [0, 2]
    assert [entry.id for entry in await queue.latest(USER, SESSION, 10)] == [0, 2]
    assert [entry.id for entry, _ in await queue.open_sessions(10)] == [2]


async def test_what_comes_after_the_end_opens_no_session_and_asks_nothing(
    queue: LiveQueue, client: redis.asyncio.Redis
) -> None:
    end = answered(1, 0, feedback_flags=(ENDED,), in_reply_to=None, responder="gateway")
    await queue.feed(0, [said(0), end, answered(2, 0), said(3)], 4, first=True)
    assert await queue.open_sessions(10) == []
    assert await requests(client) == [0]
    assert [entry.id for entry in (await queue.resume(USER, SESSION)).entries] == [0, 1, 2, 3]


async def test_a_redis_that_is_full_takes_nothing_and_loses_nothing(
    queue: LiveQueue, client: redis.asyncio.Redis
) -> None:
    await queue.feed(0, [said(0)], 1, first=True)
    await client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            await queue.feed(0, [said(1), said(2)], 3)
        assert await queue.position(0) == 1
    finally:
        await client.config_set("maxmemory", 0)
    await queue.feed(0, [said(1), said(2)], 3)
    assert [entry.id for entry in (await queue.resume(USER, SESSION)).entries] == [0, 1, 2]
