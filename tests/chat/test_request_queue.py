"""The queue of messages on a real Redis: one responder a partition, nothing lost, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from example_chat.conversation import SESSION, USER, answered, event_id, said
from redis.asyncio import Redis

from chat.live_queue import Entry, LiveQueue
from chat.request_queue import LEASE_SECONDS, Leases, RequestQueue
from config.settings import ChatSettings, RedisSettings
from schemas.chat import JOINED
from schemas.errors import StoreUnavailable
from servers.kafka import free_ports
from servers.store_server import StoreServer

Join = Callable[[str], RequestQueue]


@pytest.fixture
async def settings(redis_server: StoreServer) -> RedisSettings:
    """A database that no other test takes."""
    return RedisSettings(url=f"{redis_server.url.rpartition('/')[0]}/14")


@pytest.fixture
async def client(settings: RedisSettings) -> AsyncIterator[Redis]:
    async with Redis.from_url(settings.url) as client:
        await client.flushdb()
        yield client
        await client.flushdb()


@pytest.fixture
async def live(settings: RedisSettings, client: Redis) -> AsyncIterator[LiveQueue]:
    live = LiveQueue(settings, ChatSettings())
    yield live
    await live.close()


@pytest.fixture
async def join(settings: RedisSettings, client: Redis) -> AsyncIterator[Join]:
    """Responders by name."""
    async with AsyncExitStack() as stack:

        def joined(name: str) -> RequestQueue:
            queue = RequestQueue(settings, name)
            stack.push_async_callback(queue.close)
            return queue

        yield joined


async def feed(live: LiveQueue, entries: list[Entry], partition: int = 0) -> None:
    first = await live.position(partition) is None
    assert await live.feed(partition, entries, entries[-1].id + 1, first=first)


def told(share: int, held: Iterable[int] = (), fresh: Iterable[int] = ()) -> Leases:
    return Leases(share, frozenset(held), frozenset(fresh))


async def partitions(live: LiveQueue, count: int) -> None:
    """As many that hold nothing."""
    for partition in range(count):
        await live.feed(partition, [], 0, first=True)


async def dies(client: Redis, name: str) -> None:
    """A responder as Redis has it some seconds after its last sign of life."""
    await client.zrem("chat:responders", name)
    async for key in client.scan_iter(match="chat:lease:*"):
        if await client.get(key) == name.encode():
            await client.delete(key)


async def taken(queue: RequestQueue, partition: int = 0) -> list[int]:
    """Everything that it gets now."""
    found: list[int] = []
    while requests := await queue.take(partition, 2):
        found += [request.id for request in requests]
    return found


async def test_messages_come_in_order_and_go_when_done(
    live: LiveQueue, join: Join, client: Redis
) -> None:
    await feed(live, [said(3), said(4), answered(5, 4), said(9)])
    queue = join("a")
    leases = await queue.renew()
    assert leases == told(1, {0}, {0})
    assert await queue.renew() == told(1, {0})
    requests = await queue.take(0, 10)
    assert [(r.id, r.record.event_id) for r in requests] == [
        (id_, event_id(id_)) for id_ in (3, 4, 9)
    ]
    assert await queue.take(0, 10) == []
    assert await queue.waiting() == 3
    for request in requests:
        await queue.done(0, request.id)
    assert await queue.waiting() == await client.xlen("chat:requests:0") == 0
    assert (await client.xpending("chat:requests:0", "responders"))["pending"] == 0


async def test_what_was_answered_or_is_an_experts_wants_no_answer(
    live: LiveQueue, join: Join
) -> None:
    other = event_id("somebody else")
    joined = answered(3, 0, responder="expert:Ada", feedback_flags=(JOINED,), in_reply_to=None)
    await feed(live, [said(0), said(1, user_id=other), answered(2, 0), joined])
    queue = join("a")
    assert await queue.needless(said(0).record) == "answered"
    assert await queue.needless(said(4).record) == "expert"
    assert await queue.needless(said(1, user_id=other).record) is None


async def test_responders_share_the_partitions_evenly(live: LiveQueue, join: Join) -> None:
    await partitions(live, 5)
    a, b, c = join("a"), join("b"), join("c")
    assert (await a.renew()).held == {0, 1, 2, 3, 4}
    b_leases = await b.renew()
    assert (b_leases.share, b_leases.held) == (2, frozenset())
    assert (await a.renew()).share == 3
    await a.release([0, 4])
    assert (await b.renew()).held == {0, 4}
    assert (await a.renew()).held == {1, 2, 3}
    await c.renew()
    shares = [(await queue.renew()).share for queue in (a, b, c)]
    assert shares == [2, 2, 1]
    await a.leave()
    held = [(await queue.renew()).held for queue in (b, c)]
    assert held[0] | held[1] == {0, 1, 2, 3, 4}
    assert not held[0] & held[1]
    assert [len(h) for h in held] == [3, 2]


async def test_more_responders_than_partitions(live: LiveQueue, join: Join) -> None:
    await partitions(live, 1)
    a, b = join("a"), join("b")
    await a.renew()
    assert await b.renew() == told(0)
    assert await b.take(0, 10) == []
    await a.leave()
    assert (await b.renew()).held == {0}


async def test_nothing_is_fed_yet(join: Join) -> None:
    queue = join("a")
    assert await queue.renew() == told(0)
    await queue.wait()


async def test_the_next_one_first_takes_what_a_dead_one_had_taken(
    live: LiveQueue, join: Join, client: Redis
) -> None:
    await feed(live, [said(n) for n in range(6)])
    dead, heir = join("dead"), join("heir")
    await dead.renew()
    assert [r.id for r in await dead.take(0, 4)] == [0, 1, 2, 3]
    await dead.done(0, 1)
    await heir.renew()
    assert await heir.take(0, 10) == []
    await dies(client, "dead")
    assert (await heir.renew()).fresh == {0}
    assert await taken(heir) == [0, 2, 3, 4, 5]
    names = [
        consumer["name"]
        for consumer in await client.xinfo_consumers("chat:requests:0", "responders")
    ]
    assert names == [b"heir"]


async def test_a_lease_ends_by_itself(live: LiveQueue, join: Join, client: Redis) -> None:
    await partitions(live, 1)
    await join("dead").renew()
    assert 0 < await client.pttl("chat:lease:0") <= LEASE_SECONDS * 1000
    heir = join("heir")
    async with asyncio.timeout(LEASE_SECONDS + 5):
        while not (await heir.renew()).held:
            await asyncio.sleep(0.2)


async def test_one_that_wakes_late_gets_nothing(live: LiveQueue, join: Join, client: Redis) -> None:
    await feed(live, [said(0), said(1)])
    zombie, heir = join("zombie"), join("heir")
    await zombie.renew()
    (first,) = await zombie.take(0, 1)
    await dies(client, "zombie")
    await heir.renew()
    assert await zombie.take(0, 10) == []
    assert await taken(heir) == [0, 1]
    await zombie.done(0, first.id)
    await zombie.release([0])
    assert await heir.renew() == told(1, {0})
    assert (await zombie.renew()).held == set()
    await heir.done(0, 0)
    assert await client.xlen("chat:requests:0") == 1


async def test_one_that_slept_and_was_replaced_begins_anew(
    live: LiveQueue, join: Join, client: Redis
) -> None:
    await feed(live, [said(0), said(1)])
    sleeper, other = join("sleeper"), join("other")
    await sleeper.renew()
    await sleeper.take(0, 1)
    await dies(client, "sleeper")
    await other.renew()
    await taken(other)
    await dies(client, "other")
    assert (await sleeper.renew()).fresh == {0}
    assert await taken(sleeper) == [0, 1]


async def test_a_redis_that_lost_everything(live: LiveQueue, join: Join, client: Redis) -> None:
    await feed(live, [said(7), said(8)])
    queue = join("a")
    await queue.renew()
    await taken(queue)
    await client.flushdb()
    assert await queue.take(0, 10) == []
    await queue.done(0, 7)
    assert (await queue.renew()).held == set()
    await feed(live, [said(7), answered(8, 7), said(9)])
    assert (await queue.renew()).fresh == {0}
    assert await taken(queue) == [7, 9]


async def test_a_group_that_is_gone_is_made_again(
    live: LiveQueue, join: Join, client: Redis
) -> None:
    await feed(live, [said(7)])
    queue = join("a")
    await queue.renew()
    assert await taken(queue) == [7]
    await client.delete("chat:requests:0")
    assert await queue.take(0, 10) == []
    await feed(live, [said(8)])
    assert await taken(queue) == [8]


async def test_a_restarted_redis_has_forgotten_the_scripts(
    live: LiveQueue, join: Join, client: Redis
) -> None:
    await feed(live, [said(7)])
    queue = join("a")
    await queue.renew()
    await client.script_flush()
    assert await taken(queue) == [7]
    await queue.renew()


async def test_what_may_have_been_taken_unseen_is_taken_again(
    live: LiveQueue, join: Join, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await feed(live, [said(7), said(8)])
    queue = join("a")
    await queue.renew()
    assert await queue.take(0, 10) != []
    take = queue._take

    async def lost_on_the_way(**arguments: Any) -> None:
        await take(**arguments)
        raise ConnectionResetError

    await feed(live, [said(9)])
    monkeypatch.setattr(queue, "_take", lost_on_the_way)
    with pytest.raises(StoreUnavailable):
        await queue.take(0, 10)
    monkeypatch.undo()
    assert await taken(queue) == [7, 8, 9]


async def test_waiting_ends_when_a_message_comes(live: LiveQueue, join: Join) -> None:
    await feed(live, [said(0)])
    queue = join("a")
    await queue.renew()
    assert await taken(queue) == [0]
    waits = asyncio.create_task(queue.wait())
    done, _ = await asyncio.wait([waits], timeout=0.2)
    assert not done
    await feed(live, [said(1)])
    async with asyncio.timeout(0.5):
        await waits
    assert await taken(queue) == [1]


async def test_waiting_does_not_end_at_once_for_what_is_known(
    live: LiveQueue, join: Join, client: Redis
) -> None:
    """An entry that stands there and can't be taken would keep the loop running hot."""
    await feed(live, [said(0), said(1)])
    queue = join("a")
    await queue.renew()
    await taken(queue)
    await client.xack("chat:requests:0", "responders", "0-1", "1-1")
    queue.again(0)
    assert await taken(queue) == []
    waits = asyncio.create_task(queue.wait())
    done, _ = await asyncio.wait([waits], timeout=0.3)
    assert not done
    await waits


async def test_rubbish_in_the_queue_is_passed_over(
    live: LiveQueue, join: Join, client: Redis
) -> None:
    await feed(live, [said(0)])
    await client.xadd("chat:requests:0", {"record": b'{"event_id": 3}'}, id="1-1")
    await client.xadd("chat:requests:0", {"nothing": b""}, id="2-1")
    await feed(live, [said(3)])
    queue = join("a")
    await queue.renew()
    assert [r.id for r in await queue.take(0, 10)] == [0, 3]
    assert await client.xlen("chat:requests:0") == 2


async def test_where_nobody_answers_the_queue_does_not_grow(live: LiveQueue, client: Redis) -> None:
    for start in range(0, 12_000, 1_000):
        await feed(live, [said(start + n) for n in range(1_000)])
    assert 10_000 <= await client.xlen("chat:requests:0") <= 10_200


async def test_a_redis_that_is_away_is_said_so() -> None:
    (port,) = free_ports(1)
    queue = RequestQueue(RedisSettings(url=f"redis://127.0.0.1:{port}/0"), "a")
    for work in (queue.renew, queue.leave, lambda: queue.done(0, 1)):
        with pytest.raises(StoreUnavailable):
            await work()
    await queue.close()


async def test_the_latest_messages_of_a_session(live: LiveQueue) -> None:
    await feed(live, [said(n) for n in range(5)])
    assert [e.id for e in await live.latest(USER, SESSION, 2)] == [3, 4]
    assert await live.latest(USER, "another", 2) == []
