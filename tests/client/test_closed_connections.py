"""The change to aiokafka's connections, beside what they do without it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

import client.consumer  # noqa: F401  # whoever has one has the mend


class TestAConnectionThatUvloopHasClosed:
    def test_is_a_lost_one(self) -> None:
        with pytest.raises(KafkaConnectionError, match="closed"):
            uvloop.run(self._written_to(AIOKafkaConnection.send))

    def test_without_the_mend_it_is_no_error_of_kafkas(self) -> None:
        without = AIOKafkaConnection.send.__wrapped__
        with pytest.raises(RuntimeError, match="closed"):
            uvloop.run(self._written_to(without))

    @staticmethod
    async def _written_to(send: Any) -> None:
        """A request on a connection whose other end went a moment ago."""
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        async with server:
            host, port = server.sockets[0].getsockname()
            connection = AIOKafkaConnection(host=host, port=port)
            connection._versions = {MetadataRequest([]).API_KEY: (0, 1)}
            reader, connection._writer = await asyncio.open_connection(host, port)
            connection._reader, connection._read_task = reader, connection._create_reader_task()
            connection._writer.transport.abort()
            await asyncio.sleep(0)
            send(connection, MetadataRequest([]))
