"""The HTTP service with stores of its own, what is told there, and somebody who asks."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import orjson
from msgspec.structs import replace
from pydantic import SecretStr
from redis.asyncio import Redis
from yarl import URL

from agents.metrics_api import ApiMetrics
from api.app import listening
from api.limits import Limits
from config.settings import ApiSettings, ChatSettings, PostgresSettings, RedisSettings, Settings
from schemas.contract import encode
from schemas.delivery import Delivery, delivery_adapter
from schemas.fields import TreeId
from schemas.sample_records import SAMPLES
from schemas.topics import DELIVERY_LOG
from servers.kafka import free_ports
from servers.store_server import StoreServer
from sinks.contract import SinkRecord
from sinks.postgres import PostgresSink
from sinks.postgres_connection import connected
from sinks.redis import RedisSink, connect, delivery_channel
from sinks.service_keys import DECISIONS_READ, create_key
from streams.derived_id import derived_id

USER = "5f0e6c3a-1b7d-4c58-8f5e-2d9a7b1c4e60"
OTHER = "0b5b6cf2-6a59-4d3b-9e6c-1e2d3f4a5b6c"
SECRET = "0123456789abcdef" * 2
PATIENT = Limits(redis_seconds=10, postgres_seconds=20)
"""The service's own would tell a busy machine's stores for away."""
BEGINNING = datetime(2026, 3, 1, 12, tzinfo=UTC)

_SAMPLE = delivery_adapter.validate_python(SAMPLES["delivery"][0][1])
_DATABASE = 13


def delivery(
    number: int,
    tree_id: TreeId = "intervention_strategy",
    user_id: str = USER,
    **changes: Any,
) -> Delivery:
    """The ``number``-th decision about a learner; each has an id and a time of its own."""
    sent = BEGINNING + timedelta(seconds=number)
    return replace(
        _SAMPLE,
        delivery_id=derived_id(user_id, f"{tree_id}:{number}"),
        decision_id=derived_id(user_id, f"{tree_id}:{number}:decision"),
        user_id=user_id,
        decision_tree_id=tree_id,
        delivery_timestamp=sent,
        event_at=sent - timedelta(milliseconds=31.5),
        **{"response_status": "pending", "responded_at": None, "response_reason": "", **changes},
    )


class Stores:
    """Redis and PostgreSQL with what a facilitator told; ``settings`` lead to them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._sinks = {
            "redis": RedisSink(settings.redis),
            "postgres": PostgresSink(settings.postgres),
        }
        self._offset = 0

    async def setup(self) -> None:
        for sink in self._sinks.values():
            await sink.setup()

    async def tell(self, *deliveries: Delivery, to: str = "redis postgres") -> None:
        """What stands next on the facilitator's log."""
        for told in deliveries:
            self._offset += 1
            raw = encode(told)
            key = told.user_id
            record = SinkRecord(DELIVERY_LOG, 0, self._offset, key, orjson.loads(raw), raw)
            for store in to.split():
                await self._sinks[store].write([record])

    async def key(self, *scopes: str, expires_at: datetime | None = None) -> str:
        async with connected(self.settings.postgres) as connection:
            wanted = scopes or (DECISIONS_READ,)
            return await create_key(connection, "tests", wanted, expires_at)

    async def waited_for(self, user_id: str = USER) -> None:
        """Once somebody waits for news of that learner."""
        client = connect(self.settings.redis)
        async with asyncio.timeout(10):
            while not await _listeners(client, user_id):
                await asyncio.sleep(0.01)
        await client.aclose()

    async def left_alone(self, user_id: str = USER) -> None:
        """Once nobody does any more."""
        client = connect(self.settings.redis)
        async with asyncio.timeout(10):
            while await _listeners(client, user_id):
                await asyncio.sleep(0.05)
        await client.aclose()

    async def sql(self, text: str, *arguments: Any) -> None:
        async with connected(self.settings.postgres) as connection:
            await connection.execute(text, *arguments)

    async def close(self) -> None:
        for sink in self._sinks.values():
            await sink.close()


async def _listeners(client: Redis, user_id: str) -> int:
    ((_, listeners),) = await client.pubsub_numsub(delivery_channel(user_id))
    return int(listeners)


@asynccontextmanager
async def empty_stores(redis: StoreServer, database: PostgresSettings) -> AsyncIterator[Stores]:
    """For one test; the database may have been one of ours before."""
    settings = Settings(
        _env_file=None,
        redis=_redis_settings(redis),
        postgres=database,
        api=ApiSettings(port=0, key_seconds=0.3),
        chat=ChatSettings(token_secret=SecretStr(SECRET)),
    )
    client = connect(settings.redis)
    await client.flushdb()
    await client.aclose()
    stores = Stores(settings)
    await stores.setup()
    await stores.sql("TRUNCATE deliveries, decisions, service_keys")
    try:
        yield stores
    finally:
        await stores.close()


@contextmanager
def own_database(server: StoreServer) -> Iterator[PostgresSettings]:
    """For the tests of a file, one after the other: making its tables takes a second."""
    name = f"t{uuid.uuid4().hex}"
    url = urlsplit(server.url)._replace(path=f"/{name}").geturl()

    async def execute(sql: str) -> None:
        admin = await asyncpg.connect(server.url, password=server.password)
        await admin.execute(sql)
        admin.terminate()

    asyncio.run(execute(f"CREATE DATABASE {name}"))
    try:
        yield PostgresSettings(url=url, password=server.password, timeout_seconds=20)
    finally:
        asyncio.run(execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


def _redis_settings(server: StoreServer) -> RedisSettings:
    url = f"{server.url.rpartition('/')[0]}/{_DATABASE}"
    password = SecretStr(server.password) if server.password else None
    return RedisSettings(url=url, password=password, timeout_seconds=20)


def nowhere(settings: Settings, *stores: str) -> Settings:
    """The same, but nobody answers where these stores should be."""
    (port,) = free_ports(1)
    away: dict[str, Any] = {
        "redis": RedisSettings(url=f"redis://127.0.0.1:{port}/0"),
        "postgres": PostgresSettings(url=f"postgresql://learner@127.0.0.1:{port}/x"),
    }
    return settings.model_copy(update={store: away[store] for store in stores})


class Caller:
    """Somebody with a key, or without: `get` gives status, headers and JSON."""

    def __init__(self, session: aiohttp.ClientSession, base: str, key: str | None) -> None:
        self._session, self.base = session, base
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def as_who_has(self, key: str | None) -> Caller:
        return Caller(self._session, self.base, key)

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask(
            "GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    async def ask(self, method: str, path: str, headers: Any = None, **how: Any) -> Answer:
        sent = {**self._headers, **(headers or {})}
        url = URL(f"{self.base}{path}", encoded=True)
        async with self._session.request(method, url, headers=sent, **how) as response:
            return Answer(response.status, response.headers, await response.read())

    @asynccontextmanager
    async def events(self, path: str, last: str | None = None) -> AsyncIterator[EventReader]:
        headers = {**self._headers, "Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = last
        async with self._session.get(self.base + path, headers=headers) as response:
            assert response.status == 200, await response.text()
            yield EventReader(response)


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def word(self) -> str:
        """Of a problem document."""
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        assert self.json["status"] == self.status
        return str(self.json["type"]).removeprefix("urn:learner:problem:")


class EventReader:
    """Reads server-sent events as a browser does."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.headers = response.headers
        self.comments = 0

    async def next(self) -> tuple[str, Any]:
        """Id and data of the next event.

        Raises:
            EOFError: the stream has ended.
        """
        fields: dict[str, str] = {}
        while line := await self._response.content.readline():
            text = line.decode().rstrip("\n")
            if text.startswith(":"):
                self.comments += 1
            elif text:
                name, _, value = text.partition(": ")
                fields[name] = value
            elif "data" in fields:
                assert fields["event"] == "decision"
                return fields["id"], orjson.loads(fields["data"])
        raise EOFError


@asynccontextmanager
async def served(
    settings: Settings, key: str | None = None, limits: Limits | None = None
) -> AsyncIterator[Caller]:
    """The service on a port of its own, and somebody who asks with that key. It ends first."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
        listening(settings, ApiMetrics(), limits or PATIENT) as (host, port, watching),
    ):
        yield Caller(session, f"http://{host}:{port}", key)
        assert not watching.done()


@contextmanager
def started(name: str) -> Iterator[StoreServer]:
    """A server of the test's own, to be killed and frozen."""
    import importlib  # noqa: PLC0415

    server: StoreServer = importlib.import_module(f"servers.{name}").start()
    try:
        yield server
    finally:
        server.stop()
