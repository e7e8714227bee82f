"""Each way of the proxy to spoil a connection, seen from a client's socket."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from servers.broker_proxy import BrokerProxy

PATIENCE_SECONDS = 20


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionResetError):
            while said := self.request.recv(65_536):
                self.request.sendall(said)


@pytest.fixture(scope="module")
def running(
    broker_proxy: Callable[[Sequence[int]], BrokerProxy],
) -> Iterator[BrokerProxy]:
    """Before two servers that say back what they hear."""
    servers = [socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) for _ in range(2)]
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield broker_proxy([server.server_address[1] for server in servers])
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def proxy(running: BrokerProxy) -> Iterator[BrokerProxy]:
    yield running
    running.heal()


def connect(proxy: BrokerProxy, number: int = 0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.ports[number]), PATIENCE_SECONDS)


def echoed(connection: socket.socket, said: bytes = b"hello") -> bytes:
    connection.sendall(said)
    heard = b""
    while len(heard) < len(said) and (more := connection.recv(65_536)):
        heard += more
    return heard


def test_untouched_it_passes_everything_on(proxy: BrokerProxy) -> None:
    for number in range(2):
        with connect(proxy, number) as connection:
            assert echoed(connection, b"x" * 100_000) == b"x" * 100_000


def test_refused_connections_end_and_none_is_made_until_it_heals(proxy: BrokerProxy) -> None:
    with connect(proxy) as connection:
        assert echoed(connection) == b"hello"
        proxy.refuse()
        assert connection.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.heal()
    with connect(proxy) as connection:
        assert echoed(connection) == b"hello"


def test_only_one_broker_is_hit_if_asked(proxy: BrokerProxy) -> None:
    proxy.refuse(only=1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy, 1)
    with connect(proxy, 0) as connection:
        assert echoed(connection) == b"hello"


def test_reset_connections_end_and_new_ones_break_when_used(proxy: BrokerProxy) -> None:
    with connect(proxy) as old:
        assert echoed(old) == b"hello"
        proxy.reset()
        assert echoed(old) == b""
    with connect(proxy) as new:
        new.sendall(b"hello")
        with pytest.raises(ConnectionResetError):
            new.recv(5)


def test_a_black_hole_says_nothing_and_loses_what_was_sent(proxy: BrokerProxy) -> None:
    with connect(proxy) as connection:
        assert echoed(connection) == b"hello"
        proxy.black_hole()
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            echoed(connection)
        proxy.heal()
        connection.settimeout(PATIENCE_SECONDS)
        assert connection.recv(5) == b"", "ended: what was sent never comes"


def test_a_black_hole_in_one_direction_lets_the_other_through(proxy: BrokerProxy) -> None:
    """The server hears, and the client does not learn that it did."""
    with connect(proxy) as connection:
        proxy.black_hole(directions=["downstream"])
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            echoed(connection)


def test_what_is_held_arrives_when_it_heals(proxy: BrokerProxy) -> None:
    with connect(proxy) as connection:
        proxy.hold()
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            echoed(connection)
        proxy.heal()
        connection.settimeout(PATIENCE_SECONDS)
        assert connection.recv(5) == b"hello"


def test_delayed_in_both_directions_an_answer_takes_twice_as_long(proxy: BrokerProxy) -> None:
    proxy.delay(150)
    with connect(proxy) as connection:
        began = time.monotonic()
        assert echoed(connection) == b"hello"
        assert time.monotonic() - began > 0.3


def test_throttled_it_passes_so_much_a_second(proxy: BrokerProxy) -> None:
    proxy.throttle(50, directions=["upstream"])
    with connect(proxy) as connection:
        began = time.monotonic()
        assert echoed(connection, b"x" * 50_000) == b"x" * 50_000
        assert time.monotonic() - began > 0.7
