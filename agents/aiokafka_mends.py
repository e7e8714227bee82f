"""What we change in aiokafka's client, so that a broker that is away is sat out, and quietly; each
change has a test that shows what happens without it (``tests/agents/test_aiokafka_mends.py``).

1. A connection lost while the coordinator is looked up is tried again; aiokafka ends a
   transactional producer for good (``producer/sender.py``, `_find_coordinator`).
2. Where no connection can be made the next try waits; aiokafka goes by ``retry_backoff_ms``, which
   is short here for the sake of latency, and writes 1,800 lines a second meanwhile.

A third one is `client.closed_connections`, which the client for others needs too.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError

import client.closed_connections  # noqa: F401  # mends every connection of the process

AWAY_PAUSE_SECONDS = 0.2


def sit_out_outages(client: AIOKafkaClient) -> None:
    """Mends the client of a producer or consumer that was not started yet."""
    look_up, connect = client.coordinator_lookup, client._get_conn

    async def coordinator_lookup(*asked: Any) -> Any:
        try:
            return await look_up(*asked)
        except KafkaConnectionError as error:
            raise NodeNotReadyError(str(error)) from error

    async def _get_conn(*node: Any, **options: Any) -> Any:
        connection = await connect(*node, **options)
        if connection is None:
            await asyncio.sleep(AWAY_PAUSE_SECONDS)
        return connection

    client.coordinator_lookup, client._get_conn = coordinator_lookup, _get_conn
