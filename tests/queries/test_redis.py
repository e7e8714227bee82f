"""Reading Redis: the learner's latest decision, and never anything but a whole version."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import orjson
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from config.seed_trees import seed_trees
from config.settings import RedisSettings
from queries.redis import active_tree, latest_decision, latest_delivery
from schemas.decision import decision_adapter
from schemas.delivery import delivery_adapter
from schemas.errors import StoreUnavailable
from schemas.fields import TREE_IDS, TreeId
from schemas.topics import DECISIONS, DELIVERY_LOG, TREE_VERSIONS
from schemas.tree import Branch, TreeDocument
from servers.kafka import free_ports
from servers.store_server import StoreServer
from sink_suite.stream_records import stream_records
from sinks.contract import SinkRecord
from sinks.redis import RedisSink, connect

TREE: TreeId = "primary_classification"
NOBODY = "00000000-0000-4000-8000-000000000000"


class Store(NamedTuple):
    sink: RedisSink
    client: Redis


@pytest.fixture
async def store(redis_server: StoreServer) -> AsyncIterator[Store]:
    """A database that no one else takes, empty."""
    url = f"{redis_server.url.rpartition('/')[0]}/14"
    password = SecretStr(redis_server.password) if redis_server.password else None
    settings = RedisSettings(url=url, password=password, timeout_seconds=5)
    sink, client = RedisSink(settings), connect(settings)
    await client.flushdb()
    await sink.setup()
    yield Store(sink, client)
    await sink.close()
    await client.flushdb()
    await client.aclose()


def version(number: int) -> TreeDocument:
    """Every threshold of it is its number: a mix of two would be seen."""
    seed = seed_trees()[TREE]
    nodes = tuple(
        node.model_copy(update={"threshold": float(number)}) if isinstance(node, Branch) else node
        for node in seed.nodes
    )
    return seed.model_copy(update={"version": number, "nodes": nodes})


def record(document: TreeDocument) -> SinkRecord:
    raw = document.model_dump_json().encode()
    key = f"{document.tree_id}:{document.version}"
    return SinkRecord(TREE_VERSIONS, 0, document.version, key, orjson.loads(raw), raw)


async def test_the_latest_decision_of_each_learner_by_each_tree(store: Store) -> None:
    records = [r for r in stream_records() if r.topic == DECISIONS]
    await store.sink.write(records)
    latest = {(r.value["user_id"], r.value["tree_id"]): r for r in records if r.value}
    assert len(latest) > 10
    for (user_id, tree_id), newest in latest.items():
        found = await latest_decision(store.client, user_id.upper(), tree_id)
        assert found == decision_adapter.validate_json(newest.raw)


async def test_the_newest_delivery_of_each_learner_by_each_tree(store: Store) -> None:
    records = [r for r in stream_records() if r.topic == DELIVERY_LOG]
    await store.sink.write(records)
    newest = {
        (r.value["user_id"], r.value["decision_tree_id"]): r
        for r in records
        if r.value and r.value["response_status"] != "superseded"
    }
    assert len(newest) > 10
    statuses = set()
    for (user_id, tree_id), record in newest.items():
        found = await latest_delivery(store.client, user_id.upper(), tree_id)
        assert found == delivery_adapter.validate_json(record.raw)
        statuses.add(found.response_status)
    assert statuses > {"success", "timeout"}


async def test_what_is_not_there_is_none(store: Store) -> None:
    assert await latest_decision(store.client, NOBODY, TREE) is None
    assert await latest_delivery(store.client, NOBODY, TREE) is None
    assert await active_tree(store.client, TREE) is None


async def test_each_tree_has_its_own_version(store: Store) -> None:
    await store.sink.write([record(tree) for tree in seed_trees().values()])
    for tree_id in TREE_IDS:
        assert await active_tree(store.client, tree_id) == seed_trees()[tree_id]


async def test_a_reader_sees_a_whole_version_or_the_whole_one_before(store: Store) -> None:
    await store.sink.write([record(version(0))])
    written = 0
    seen: list[int] = []

    async def write() -> None:
        nonlocal written
        ends = time.monotonic() + 2
        while time.monotonic() < ends or len(set(seen)) < 20:
            await store.sink.write([record(version(written + 1))])
            written += 1
            await asyncio.sleep(0.002)

    async def read() -> None:
        while not writer.done():
            before = written
            document = await active_tree(store.client, TREE)
            assert document is not None
            assert document == version(document.version)
            assert before <= document.version <= written + 1
            seen.append(document.version)

    async with asyncio.timeout(30):
        writer = asyncio.create_task(write())
        await asyncio.gather(writer, read(), read())
    assert len(set(seen)) >= 20


async def test_nobody_answering_is_said(store: Store) -> None:
    (port,) = free_ports(1)
    client = connect(RedisSettings(url=f"redis://127.0.0.1:{port}/0"))
    with pytest.raises(StoreUnavailable, match=str(port)):
        await active_tree(client, TREE)
    with pytest.raises(StoreUnavailable, match=str(port)):
        await latest_decision(client, NOBODY, TREE)
    await client.aclose()
