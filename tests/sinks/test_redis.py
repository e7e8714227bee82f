"""The Redis sink on a real Redis: the contract, expiry, no memory, kills, and who was first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import count

import orjson
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from audit.redis import RedisAudit
from config.seed_trees import seed_trees
from config.settings import RedisSettings
from queries.redis import active_tree
from schemas.errors import InvalidSetting, StoreUnavailable
from schemas.fields import TreeId
from schemas.topics import DECISIONS, DELIVERY_LOG, TREE_VERSIONS
from servers.kafka import free_ports
from servers.redis import start
from servers.store_server import StoreServer
from sink_suite.contract_tests import Made, SinkContract, assert_equal, contents, expected
from sink_suite.stream_records import stream_records
from sinks.contract import SinkRecord
from sinks.redis import (
    HIGHEST,
    MAX_RECORD_BYTES,
    RedisSink,
    connect,
    decision_key,
    delivery_channel,
    delivery_key,
    thresholds_key,
)

TREE: TreeId = "primary_classification"
DAY = 86_400


@pytest.fixture
async def settings(redis_server: StoreServer) -> AsyncIterator[RedisSettings]:
    """A database that no one else takes, empty."""
    url = f"{redis_server.url.rpartition('/')[0]}/15"
    password = SecretStr(redis_server.password) if redis_server.password else None
    settings = RedisSettings(url=url, password=password, timeout_seconds=5)
    client = connect(settings)
    await client.flushdb()
    yield settings
    await client.flushdb()
    await client.aclose()


@pytest.fixture
async def client(settings: RedisSettings) -> AsyncIterator[Redis]:
    client = connect(settings)
    yield client
    await client.aclose()


class TestRedis(SinkContract):
    @pytest.fixture
    def made(self, settings: RedisSettings) -> Made:
        (port,) = free_ports(1)
        nowhere = settings.model_copy(update={"url": f"redis://127.0.0.1:{port}/0"})
        return Made(
            sink=lambda: RedisSink(settings),
            audit=RedisAudit(settings),
            unreachable=lambda: RedisSink(nowhere),
            refused=too_large,
        )


def too_large(record: SinkRecord) -> SinkRecord:
    assert record.value is not None
    value = {**record.value, "llm_prompt_output": "x" * MAX_RECORD_BYTES}
    return record._replace(value=value, raw=orjson.dumps(value), offset=record.offset + 10**6)


def version(number: int, threshold: float = 0.5, tree_id: TreeId = TREE) -> SinkRecord:
    document = seed_trees()[tree_id].model_dump(mode="json")
    nodes = [
        {**node, "threshold": threshold} if "threshold" in node else node
        for node in document["nodes"]
    ]
    value = {**document, "version": number, "nodes": nodes}
    raw = orjson.dumps(value)
    return SinkRecord(TREE_VERSIONS, 0, next(_OFFSETS), f"{tree_id}:{number}", value, raw)


_OFFSETS = count()


async def keep(settings: RedisSettings, *batches: Sequence[SinkRecord]) -> None:
    """By a sink of its own."""
    sink = RedisSink(settings)
    try:
        await sink.setup()
        for batch in batches:
            await sink.write(batch)
    finally:
        await sink.close()


def decisions() -> list[SinkRecord]:
    return [record for record in stream_records() if record.topic == DECISIONS]


def key_of(record: SinkRecord) -> str:
    assert record.value is not None
    return decision_key(record.value["user_id"], record.value["tree_id"])


async def test_within_a_batch_the_newest_decision_stays_whatever_the_order(
    settings: RedisSettings,
) -> None:
    records = decisions()[:300]
    await keep(settings, records[::-1])
    audit = RedisAudit(settings)
    assert_equal(await contents(audit), expected(audit, records))


def delivery(
    number: int, status: str = "pending", attempt: int = 1, *, offset: int, tree_id: TreeId = TREE
) -> SinkRecord:
    """Of one learner; ``number`` tells deliveries apart."""
    told = next(r for r in stream_records() if r.topic == DELIVERY_LOG)
    id_ = f"00000000-0000-4000-8000-{number:012}"
    value = {
        **(told.value or {}),
        "delivery_id": id_,
        "decision_tree_id": tree_id,
        "attempt": attempt,
        "response_status": status,
    }
    return told._replace(offset=offset, value=value, raw=orjson.dumps(value))


async def heard_by(listener: PubSub) -> list[bytes]:
    """One message; none if it was the subscription's answer, or nothing came for a second."""
    message = await listener.get_message(ignore_subscribe_messages=True, timeout=1)
    return [] if message is None else [message["data"]]


SENT, ANSWERED = delivery(1, offset=10), delivery(1, "success", offset=11)
SUPERSEDED, NEXT = delivery(1, "superseded", offset=12), delivery(2, offset=13)
AGAIN = delivery(2, attempt=2, offset=14)


@pytest.mark.parametrize(
    ("batches", "stands", "published"),
    [
        ([[SENT]], SENT, 1),
        ([[SENT], [ANSWERED]], ANSWERED, 1),
        ([[SENT, ANSWERED]], ANSWERED, 1),
        ([[ANSWERED], [SENT]], ANSWERED, 1),
        ([[SENT], [NEXT]], NEXT, 2),
        ([[SENT], [NEXT], [SENT], [NEXT]], NEXT, 2),
        ([[SENT], [SUPERSEDED]], SENT, 1),
        ([[SENT, SUPERSEDED, NEXT], [AGAIN]], AGAIN, 1),
        ([[NEXT], [SUPERSEDED._replace(offset=20)]], NEXT, 1),
    ],
    ids=lambda told: "",
)
async def test_the_newest_delivery_stands_and_another_one_is_published(
    settings: RedisSettings,
    client: Redis,
    batches: list[list[SinkRecord]],
    stands: SinkRecord,
    published: int,
) -> None:
    assert stands.value is not None
    user_id = stands.value["user_id"]
    other: TreeId = "intervention_strategy"
    async with client.pubsub() as listener:
        await listener.subscribe(delivery_channel(user_id))
        await keep(settings, *batches, [delivery(3, offset=30, tree_id=other)])
        heard: list[bytes] = []
        async with asyncio.timeout(10):
            while other.encode() not in heard:
                heard += await heard_by(listener)
    assert heard == [TREE.encode()] * published + [other.encode()]
    assert await client.hget(delivery_key(user_id, TREE), "record") == stands.raw
    assert 29 * DAY < await client.ttl(delivery_key(user_id, TREE)) <= 30 * DAY


async def test_who_hears_of_a_delivery_finds_it(settings: RedisSettings, client: Redis) -> None:
    """It is published in the same instant, not before it stands there."""
    assert SENT.value is not None
    user_id = SENT.value["user_id"]
    key = delivery_key(user_id, TREE)
    numbers = range(100, 200)
    found: list[int] = []

    async def listen() -> None:
        async with client.pubsub() as listener:
            await listener.subscribe(delivery_channel(user_id))
            listening.set()
            while len(found) < len(numbers):
                for _ in await heard_by(listener):
                    found.append(int(await client.hget(key, "position")))

    listening = asyncio.Event()
    listener = asyncio.create_task(listen())
    await listening.wait()
    sink = RedisSink(settings)
    await sink.setup()
    for number in numbers:
        await sink.write([delivery(number, offset=number)])
    await sink.close()
    await asyncio.wait_for(listener, 20)
    assert all(position >= number for position, number in zip(found, numbers, strict=True))


async def test_of_versions_the_highest_is_in_force_and_of_two_the_first(
    settings: RedisSettings, client: Redis
) -> None:
    first, second = version(4, 0.25), version(4, 0.75)
    await keep(settings, [version(3)], [version(1), first, second], [second])
    assert orjson.loads(await client.get(thresholds_key(TREE))) == first.value


async def test_a_second_sink_that_starts_with_version_0_changes_nothing(
    settings: RedisSettings, client: Redis
) -> None:
    await keep(settings, [version(0), version(7)])
    await keep(settings, [version(0)])
    found = await active_tree(client, TREE)
    assert found is not None
    assert found.version == 7


async def test_keys_expire_and_each_write_renews_them(
    settings: RedisSettings, client: Redis
) -> None:
    records = decisions()
    mine = [r for r in records if key_of(r) == key_of(records[0])]
    await keep(settings, [version(1), mine[0]])
    keys = (key_of(mine[0]), thresholds_key(TREE))
    for key in keys:
        assert 30 * DAY - 60 < await client.ttl(key) <= 30 * DAY
        await client.expire(key, 100)
    await keep(settings, [mine[1]])
    for key in keys:
        assert await client.ttl(key) > 29 * DAY
        await client.expire(key, 100)
    # An older decision is no news of the learner; the thresholds' stream lives all the same.
    await keep(settings, [mine[0]])
    assert await client.ttl(keys[0]) <= 100
    assert await client.ttl(keys[1]) > 29 * DAY


async def test_thresholds_that_were_dropped_come_back_with_the_stream(
    settings: RedisSettings, client: Redis
) -> None:
    await keep(settings, [version(0), version(7, 0.75)])
    before = await client.get(thresholds_key(TREE))
    await client.delete(thresholds_key(TREE))
    assert await active_tree(client, TREE) is None
    await keep(settings, [version(0)])
    assert await client.get(thresholds_key(TREE)) == before
    await client.delete(thresholds_key(TREE))
    await keep(settings, decisions()[:1])
    assert await client.get(thresholds_key(TREE)) == before
    assert await client.ttl(f"{HIGHEST}{TREE}") == -1


async def test_without_memory_it_is_away_until_there_is_some(
    settings: RedisSettings, client: Redis
) -> None:
    sink = RedisSink(settings)
    await sink.setup()
    await client.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            await sink.write(decisions()[:5])
    finally:
        await client.config_set("maxmemory", "0")
    await sink.write(decisions()[:5])
    await sink.close()


async def test_a_replica_that_takes_no_writes_is_away(
    settings: RedisSettings, client: Redis
) -> None:
    sink = RedisSink(settings)
    await sink.setup()
    await client.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        with pytest.raises(StoreUnavailable, match="read only replica"):
            await sink.write(decisions()[:5])
    finally:
        await client.execute_command("REPLICAOF", "NO", "ONE")
    await sink.close()


async def test_a_wrong_password_is_said_and_never_shown(
    settings: RedisSettings, client: Redis
) -> None:
    await client.execute_command("ACL", "SETUSER", "reader", "on", ">s3same", "+ping", "+select")
    try:
        url = settings.url.replace("redis://", "redis://reader@")
        for password, said in (("a-secret", "invalid username-password"), ("s3same", "evalsha")):
            given = settings.model_copy(update={"url": url, "password": SecretStr(password)})
            with pytest.raises(StoreUnavailable, match=f"(?i){said}.*__PASSWORD") as caught:
                await keep(given, decisions()[:1])
            assert password not in str(caught.value)
    finally:
        await client.execute_command("ACL", "DELUSER", "reader")


async def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(InvalidSetting, match="LEARNER_REDIS__URL"):
        await RedisSink(RedisSettings(url="http://127.0.0.1")).setup()


async def test_frozen_it_is_away_and_killed_it_has_all_that_it_acknowledged() -> None:
    server = start()
    settings = RedisSettings(url=server.url, timeout_seconds=1)
    records = [*decisions()[:200], version(2)]
    sink, audit = RedisSink(settings), RedisAudit(settings)
    try:
        await sink.setup()
        await sink.write(records[:100])
        server.freeze()
        async with asyncio.timeout(3):
            with pytest.raises(StoreUnavailable, match=r"(?i)timeout"):
                await sink.write(records[:100])
        server.wake()
        await sink.write(records)
        server.kill()
        with pytest.raises(StoreUnavailable):
            await sink.write(records[:1])
        server.start()
        assert_equal(await contents(audit), expected(audit, records))
        # A server that was started anew knows no scripts.
        await sink.write(records)
        assert_equal(await contents(audit), expected(audit, records))
    finally:
        await sink.close()
        server.stop()
