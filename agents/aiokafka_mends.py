"""What we change in aiokafka's client, so that a broker that is away is sat out, and quietly; each
change has a test that shows what happens without it (``tests/agents/test_aiokafka_mends.py``).

1. A connection lost while the coordinator is looked up is tried again; aiokafka ends a
   transactional producer for good (``producer/sender.py``, `_find_coordinator`).
2. Where no connection can be made the next try waits; aiokafka goes by ``retry_backoff_ms``, which
   is short here for the sake of latency, and writes 1,800 lines a second meanwhile.

3. Where a partition has no leader the next look waits too; aiokafka asks for the metadata again as
   soon as it has it, and a worker and its brokers have no time for anything else, such as making
   one of them the leader.

A fourth one is `client.closed_connections`, which the client for others needs too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError

import client.closed_connections  # noqa: F401  # mends every connection of the process

AWAY_PAUSE_SECONDS = 0.2


def sit_out_outages(client: AIOKafkaClient) -> None:
    """Mends the client of a producer or consumer that was not started yet."""
    look_up, connect, update = client.coordinator_lookup, client._get_conn, client._metadata_update

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

    async def _metadata_update(cluster: ClusterMetadata, topics: Collection[str] | None) -> bool:
        updated = bool(await update(cluster, topics))
        if not all(_is_led(cluster, topic) for topic in topics or ()):
            await asyncio.sleep(AWAY_PAUSE_SECONDS)
        return updated

    client.coordinator_lookup, client._get_conn = coordinator_lookup, _get_conn
    client._metadata_update = _metadata_update


def _is_led(cluster: ClusterMetadata, topic: str) -> bool:
    """Whether the topic is there, and each of its partitions has a leader."""
    partitions = cluster.partitions_for_topic(topic)
    return bool(partitions) and partitions == cluster.available_partitions_for_topic(topic)
