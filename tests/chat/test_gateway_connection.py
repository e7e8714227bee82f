"""One WebSocket's way out: in order, bounded, and nobody waits for who does not read."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiohttp import web

from chat.connection import GOING_AWAY, SLOW, Connection


class FakeSocket:
    """Takes frames as long as ``reads`` is set."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.sent: list[bytes] = []
        self.closed: int | None = None

    async def send_frame(self, frame: bytes, opcode: object) -> None:
        self.sent.append(frame)
        await self.reads.wait()

    async def pong(self, payload: bytes) -> None:
        await self.send_frame(b"pong " + payload, None)

    async def close(self, *, code: int, message: bytes, drain: bool) -> None:
        self.closed = code


class FakeTransport:
    aborted = False

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def socket() -> FakeSocket:
    return FakeSocket()


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@pytest.fixture
async def connection(socket: FakeSocket, transport: FakeTransport) -> Connection:
    return Connection(
        cast(web.WebSocketResponse, socket), cast(Any, transport), most=8, seconds=0.05
    )


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


async def test_frames_go_out_in_order(connection: Connection, socket: FakeSocket) -> None:
    for frame in numbered(8):
        connection.send(frame)
    await settle()
    assert socket.sent == numbered(8)
    assert connection.ending is None


async def test_one_more_than_may_wait_ends_it(connection: Connection, socket: FakeSocket) -> None:
    socket.reads.clear()
    connection.send(b"in hand")
    await settle()
    for frame in numbered(8):
        connection.send(frame)
    assert connection.ending is None
    connection.send(b"too many")
    assert connection.ending is SLOW
    await settle()
    assert socket.closed == 4408
    assert socket.sent == [b"in hand"]


async def test_what_waits_is_sent_before_it_is_closed(
    connection: Connection, socket: FakeSocket
) -> None:
    connection.send(b"last words")
    connection.close(GOING_AWAY)
    connection.send(b"too late")
    await settle()
    assert socket.sent == [b"last words"]
    assert socket.closed == 1001


async def test_half_of_the_room_is_for_what_cannot_be_read_again(
    connection: Connection, socket: FakeSocket
) -> None:
    socket.reads.clear()
    connection.send(b"in hand")
    await settle()
    assert connection.room == 4
    for frame in numbered(6):
        connection.send_if_quick(frame)
    assert connection.room == 0
    socket.reads.set()
    await settle()
    assert socket.sent == [b"in hand", *numbered(4)]


async def test_who_is_behind_and_reads_nothing_is_slow(
    connection: Connection, socket: FakeSocket
) -> None:
    socket.reads.clear()
    connection.send(b"in hand")
    called: list[int] = []
    connection.when_drained(lambda: called.append(1))
    await asyncio.sleep(0.1)
    assert connection.ending is SLOW
    assert called == []


async def test_who_is_behind_and_reads_is_given_more(
    connection: Connection, socket: FakeSocket
) -> None:
    socket.reads.clear()
    connection.send(b"in hand")
    called: list[int] = []
    for number in range(2):
        connection.when_drained(lambda n=number: called.append(n))
    socket.reads.set()
    await asyncio.sleep(0.1)
    assert called == [0, 1]
    assert connection.ending is None


async def test_of_many_pings_the_last_is_answered(
    connection: Connection, socket: FakeSocket
) -> None:
    socket.reads.clear()
    connection.send(b"in hand")
    await settle()
    for payload in numbered(1000):
        connection.pong(payload)
    socket.reads.set()
    await settle()
    assert socket.sent == [b"in hand", b"pong 999"]


async def test_who_has_left_is_sent_nothing_and_its_socket_given_back(
    connection: Connection, socket: FakeSocket, transport: FakeTransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("chat.connection._CLOSE_SECONDS", 0.01)
    socket.reads.clear()
    connection.send(b"in hand")
    await settle()
    connection.gone()
    connection.send(b"too late")
    await asyncio.sleep(0.05)
    assert socket.sent == [b"in hand"]
    assert transport.aborted
