"""Who waits is woken: whenever they come, and whatever others do meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from api.limits import Limits
from api.stores import Stores as AskedStores
from api.watch import Watch
from api_suite.served import OTHER, USER, Stores
from sinks.redis import DELIVERY, connect, delivery_channel

STEPS = 60
"""Turns of the event loop; after fewer of them the connection stands."""


@pytest.fixture
async def asked(kept: Stores) -> AsyncIterator[AskedStores]:
    stores = AskedStores(kept.settings.redis, kept.settings.postgres, Limits(redis_seconds=5))
    await stores.open()
    yield stores
    await stores.close()


@asynccontextmanager
async def watching(asked: AskedStores, steps: int = 0) -> AsyncIterator[Watch]:
    watch = Watch(asked)
    task = asyncio.create_task(watch.run())
    for _ in range(steps):
        await asyncio.sleep(0)
    yield watch
    task.cancel()
    await asyncio.wait({task})


async def test_who_comes_while_it_connects_is_woken(kept: Stores, asked: AskedStores) -> None:
    client = connect(kept.settings.redis)
    for steps in range(STEPS):
        async with watching(asked, steps) as watch, watch.of(USER) as woken, asyncio.timeout(20):
            await kept.waited_for()
            woken.clear()
            while not woken.is_set():  # the one before may have been for nothing
                await client.publish(delivery_channel(USER), "x")
                await asyncio.sleep(0.01)
        await kept.left_alone()
    await client.aclose()


async def test_each_is_woken_by_what_concerns_them(kept: Stores, asked: AskedStores) -> None:
    client = connect(kept.settings.redis)
    async with (
        watching(asked) as watch,
        watch.of(USER) as first,
        watch.of(USER) as second,
        watch.of(OTHER) as other,
        asyncio.timeout(20),
    ):
        for user_id in (USER, OTHER):
            await kept.waited_for(user_id)
        await first.wait()  # the connection stands: everybody looks
        for woken in (first, second, other):
            woken.clear()
        await client.publish(delivery_channel(USER), "x")
        await asyncio.gather(first.wait(), second.wait())
        assert not other.is_set()
        watch.wake_all()
        assert other.is_set()
    await client.aclose()


async def test_a_channel_is_left_and_asked_for_again(kept: Stores, asked: AskedStores) -> None:
    client = connect(kept.settings.redis)
    async with watching(asked) as watch, watch.of(OTHER), asyncio.timeout(30):
        await kept.waited_for(OTHER)
        for _ in range(3):
            async with watch.of(USER) as woken:
                woken.clear()
                await client.publish(delivery_channel(USER), "x")
                await woken.wait()
            await kept.left_alone()
        assert set(watch._waiting) == {OTHER}
        assert set(watch._line._channels) == {DELIVERY, delivery_channel(OTHER)}  # type: ignore[union-attr]
    await client.aclose()


async def test_who_leaves_in_any_moment_takes_no_connection_along(
    kept: Stores, asked: AskedStores
) -> None:
    """One who leaves while they ask for their channel: the others go on listening."""
    async with watching(asked) as watch, watch.of(OTHER) as other, asyncio.timeout(30):
        await kept.waited_for(OTHER)
        line = watch._line
        for steps in range(10):
            asking = asyncio.create_task(watch.of(USER).__aenter__())
            for _ in range(steps):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait({asking})
        await kept.left_alone()
        assert watch._line is line
        other.clear()
        client = connect(kept.settings.redis)
        await client.publish(delivery_channel(OTHER), "x")
        await client.aclose()
        await other.wait()


async def test_it_ends_whenever_it_is_told_to(asked: AskedStores) -> None:
    """The driver of Redis loses a cancellation up to Python 3.11 (`heed_cancellation`)."""
    for steps in range(STEPS):
        task = asyncio.create_task(Watch(asked).run())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=10)
        assert done, f"not after {steps} steps"
