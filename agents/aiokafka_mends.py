"""What we change in aiokafka's client, so that a broker that is away is sat out, and quietly; each
change has a test that shows what happens without it (``tests/agents/test_aiokafka_mends.py``).

1. A connection lost while the coordinator is looked up is tried again; aiokafka ends a
   transactional producer for good (``producer/sender.py``, `_find_coordinator`).
2. Where no connection can be made the next try waits; aiokafka goes by ``retry_backoff_ms``, which
   is short here for the sake of latency, and writes 1,800 lines a second meanwhile.
3. A connection that uvloop has closed already is a lost one. uvloop says so by a ``RuntimeError``,
   aiokafka expects an ``OSError``: its task that keeps the metadata dies of the other, and whoever
   waits for metadata waits for ever. For every client of the process, from the import on.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError

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


def _lost_if_closed(write: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(write)
    def written(self: AIOKafkaConnection, *request: Any, **options: Any) -> Any:
        try:
            return write(self, *request, **options)
        except RuntimeError as error:
            if self._writer is None or not self._writer.transport.is_closing():
                raise
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(str(error)) from error

    return written


AIOKafkaConnection.send = _lost_if_closed(AIOKafkaConnection.send)
AIOKafkaConnection._send_sasl_token = _lost_if_closed(AIOKafkaConnection._send_sasl_token)
