"""One store away, or both: killed, frozen, back again. Each server is the tests' own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from api.limits import Limits
from api.stores import Stores as ServiceStores
from api_suite.served import (
    PATIENT,
    USER,
    Caller,
    Stores,
    delivery,
    empty_stores,
    nowhere,
    own_database,
    served,
    started,
)
from config.settings import PostgresSettings
from schemas.errors import StoreUnavailable
from servers.store_server import StoreServer

ALL = f"/v1/learners/{USER}/decisions"
ONE = f"{ALL}/intervention_strategy"


@pytest.fixture(scope="module")
def redis() -> Iterator[StoreServer]:
    with started("redis") as server:
        yield server


@pytest.fixture(scope="module")
def postgres() -> Iterator[StoreServer]:
    with started("postgres") as server:
        yield server


@pytest.fixture(scope="module")
def database(postgres: StoreServer) -> Iterator[PostgresSettings]:
    with own_database(postgres) as settings:
        yield settings


@pytest.fixture
async def kept(redis: StoreServer, database: PostgresSettings) -> AsyncIterator[Stores]:
    async with empty_stores(redis, database) as stores:
        yield stores


@pytest.fixture
async def caller(kept: Stores) -> AsyncIterator[Caller]:
    limits = Limits(redis_seconds=1.0, postgres_seconds=2.0)
    async with served(kept.settings, await kept.key(), limits) as somebody:
        yield somebody


async def until(caller: Caller, path: str, status: int) -> None:
    async with asyncio.timeout(20):
        while (await caller.get(path)).status != status:
            await asyncio.sleep(0.1)


async def test_redis_dies_and_comes_back(kept: Stores, caller: Caller, redis: StoreServer) -> None:
    await kept.tell(delivery(1))
    assert (await caller.get(ONE)).json["cache_hit"] is True
    redis.kill()
    try:
        answer = await caller.get(ONE)
        assert (answer.status, answer.json["cache_hit"]) == (200, False)
        assert (await caller.get("/readyz")).json == {"status": "degraded"}
        assert (await caller.get(f"/v1/learners/{USER[:-1]}1/decisions")).status == 404
    finally:
        redis.start()
    async with asyncio.timeout(20):
        while not (await caller.get(ONE)).json["cache_hit"]:
            await asyncio.sleep(0.1)


async def test_who_waits_hears_of_it_while_redis_is_away(
    kept: Stores, caller: Caller, redis: StoreServer
) -> None:
    await kept.tell(delivery(1))
    etag = (await caller.get(ONE)).headers["ETag"]
    waiting = asyncio.create_task(caller.get(f"{ONE}?wait=50", If_None_Match=etag))
    await kept.waited_for()
    async with caller.events(f"{ALL}/events") as stream, asyncio.timeout(30):
        await stream.next()
        redis.kill()
        try:
            await kept.tell(delivery(2), to="postgres")
            answer = await waiting
            assert answer.json["delivery_id"] == delivery(2).delivery_id
            assert answer.json["cache_hit"] is False
            assert (await stream.next())[1]["delivery_id"] == delivery(2).delivery_id
            late = asyncio.create_task(
                caller.get(f"{ONE}?wait=50", If_None_Match=answer.headers["ETag"])
            )
            await asyncio.sleep(0.2)
            await kept.tell(delivery(3), to="postgres")
            assert (await late).json["delivery_id"] == delivery(3).delivery_id
            assert (await stream.next())[1]["delivery_id"] == delivery(3).delivery_id
        finally:
            redis.start()
        await kept.setup()
        await kept.tell(delivery(2), delivery(3), to="redis")  # the sink has caught up
        again = asyncio.create_task(
            caller.get(f"{ONE}?wait=50", If_None_Match=(await late).headers["ETag"])
        )
        await kept.waited_for()
        await kept.tell(delivery(4), to="redis")
        assert (await again).json["delivery_id"] == delivery(4).delivery_id
        assert (await stream.next())[1]["delivery_id"] == delivery(4).delivery_id


async def test_a_redis_that_hangs_holds_up_one_request_and_not_each(
    kept: Stores, caller: Caller, redis: StoreServer
) -> None:
    await kept.tell(delivery(1))
    etag = (await caller.get(ONE)).headers["ETag"]
    waiting = asyncio.create_task(caller.get(f"{ONE}?wait=50", If_None_Match=etag))
    await kept.waited_for()
    redis.freeze()
    try:
        assert (await caller.get(ONE)).json["cache_hit"] is False
        service = [await caller.get(ONE) for _ in range(10)]
        assert {answer.json["cache_hit"] for answer in service} == {False}
        await kept.tell(delivery(2), to="postgres")  # nothing says so: the line is just silent
        async with asyncio.timeout(20):
            assert (await waiting).json["delivery_id"] == delivery(2).delivery_id
    finally:
        redis.wake()


async def test_postgres_dies_and_comes_back(
    kept: Stores, caller: Caller, postgres: StoreServer
) -> None:
    await kept.tell(delivery(1))
    await kept.tell(delivery(2, "primary_classification"), to="postgres")
    assert len((await caller.get(ALL)).json["decisions"]) == 2
    unknown = await kept.key()
    postgres.kill()
    try:
        await asyncio.sleep(kept.settings.api.key_seconds)  # so that the key is looked up again
        answer = await caller.get(ONE)
        assert (answer.status, answer.json["cache_hit"]) == (200, True)
        every = await caller.get(ALL)
        assert (every.status, every.json["complete"]) == (200, False)
        assert [d["delivery_id"] for d in every.json["decisions"]] == [delivery(1).delivery_id]
        assert (await caller.get("/readyz")).json == {"status": "degraded"}
        # Redis has nothing about these, which says nothing.
        for path in (f"{ALL}/primary_classification", f"/v1/learners/{USER[:-1]}1/decisions"):
            answer = await caller.get(path)
            assert (answer.status, answer.word) == (503, "stores-unavailable")
            assert answer.headers["Retry-After"] == "1"
        answer = await caller.as_who_has(unknown).get(ONE)
        assert (answer.status, answer.word) == (503, "keys-unavailable")
        assert answer.headers["Retry-After"] == "1"
        wrong = await caller.as_who_has(unknown[:-5] + "AAAAA").get(ONE)
        assert wrong.status == 503
    finally:
        postgres.start()
    await until(caller, f"{ALL}/primary_classification", 200)
    await until(caller.as_who_has(unknown), ONE, 200)


async def test_a_postgres_that_hangs_holds_up_no_known_key(
    kept: Stores, caller: Caller, postgres: StoreServer
) -> None:
    await kept.tell(delivery(1))
    assert (await caller.get(ONE)).status == 200
    postgres.freeze()
    try:
        await asyncio.sleep(kept.settings.api.key_seconds)
        async with asyncio.timeout(20):
            assert {(await caller.get(ONE)).status for _ in range(10)} == {200}
            assert (await caller.get(f"{ALL}/primary_classification")).status == 503
    finally:
        postgres.wake()
    await until(caller, f"{ALL}/primary_classification", 404)


async def test_both_away(
    kept: Stores, caller: Caller, redis: StoreServer, postgres: StoreServer
) -> None:
    await kept.tell(delivery(1))
    etag = (await caller.get(ONE)).headers["ETag"]
    redis.kill()
    postgres.kill()
    try:
        for path in (ONE, ALL, f"{ALL}/events"):
            answer = await caller.get(path)
            assert (answer.status, answer.word) == (503, "stores-unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
            assert "127.0.0.1" not in answer.json["detail"]  # where the stores are is our affair
        # A wait that cannot know that nothing is new does not say 304.
        answer = await caller.get(f"{ONE}?wait=1", If_None_Match=etag)
        assert answer.status == 503
        assert (await caller.get("/readyz")).word == "not-ready"
        assert (await caller.get("/healthz")).status == 200
    finally:
        redis.start()
        postgres.start()
    await until(caller, ONE, 200)  # of one of them
    async with asyncio.timeout(20):
        while (await caller.get("/readyz")).json != {"status": "ok"}:
            await asyncio.sleep(0.1)


async def test_a_postgres_that_dies_in_the_middle_of_an_answer_is_away(
    kept: Stores, postgres: StoreServer
) -> None:
    stores = ServiceStores(kept.settings.redis, kept.settings.postgres, PATIENT)
    await stores.open()

    async def asked() -> None:
        async with stores.postgres() as connection:
            await connection.execute("SELECT pg_sleep(30)")

    try:
        asking = asyncio.create_task(asked())
        await asyncio.sleep(1)
        postgres.kill()
        try:
            with pytest.raises(StoreUnavailable):
                await asking
        finally:
            postgres.start()
    finally:
        await stores.close()


async def test_the_service_starts_without_its_stores(kept: Stores) -> None:
    async with served(nowhere(kept.settings, "redis", "postgres"), await kept.key()) as caller:
        assert (await caller.get("/healthz")).status == 200
        assert (await caller.get("/readyz")).status == 503
        assert (await caller.get(ONE)).word == "keys-unavailable"


async def test_a_database_without_our_tables_is_one_that_is_away(
    kept: Stores, postgres: StoreServer
) -> None:
    settings = kept.settings.model_copy(
        update={"postgres": PostgresSettings(url=postgres.url, password=postgres.password)}
    )
    async with served(settings, await kept.key()) as caller:
        assert (await caller.get(ONE)).word == "keys-unavailable"
