"""Fixtures of the HTTP service's tests: stores that are empty, and the service before them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from api_suite.served import Caller, Stores, empty_stores, own_database, served
from config.settings import PostgresSettings
from servers.store_server import StoreServer


@pytest.fixture(scope="module")
def database(postgres_server: StoreServer) -> Iterator[PostgresSettings]:
    with own_database(postgres_server) as settings:
        yield settings


@pytest.fixture
async def kept(redis_server: StoreServer, database: PostgresSettings) -> AsyncIterator[Stores]:
    async with empty_stores(redis_server, database) as stores:
        yield stores


@pytest.fixture
async def caller(kept: Stores) -> AsyncIterator[Caller]:
    """Somebody who may read decisions."""
    async with served(kept.settings, await kept.key()) as somebody:
        yield somebody
