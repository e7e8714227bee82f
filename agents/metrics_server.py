"""Serves ``/metrics`` from a thread of its own, for processes that speak no HTTP otherwise.

A thread answers also while the event loop folds a batch: that is when one wants to look.
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog

from agents.metrics import ProcessMetrics
from config.settings import MetricsSettings
from schemas.errors import InvalidSetting

log = structlog.get_logger(__name__)

PORTS = {
    "worker": 9101,
    "trainer": 9102,
    "sink": 9103,
    "facilitator": 9104,
    "responder": 9105,
    "api": 9106,
}
"""By command. If it is taken, ten further: the last digit tells what runs there."""
_STEP = 10
_TRIES = 50
_CLIENT_SECONDS = 5.0
_POLL_SECONDS = 0.1


@contextmanager
def serving(metrics: ProcessMetrics, settings: MetricsSettings) -> Iterator[int]:
    """Serves while the block runs; gives the port.

    Raises:
        InvalidSetting: the port that was asked for is taken, or the host is none of this machine.
    """
    server = _listen(metrics, settings)
    thread = threading.Thread(
        target=server.serve_forever, args=(_POLL_SECONDS,), name="metrics", daemon=True
    )
    thread.start()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    log.info("metrics", url=f"http://{host}:{server.port}/metrics")
    try:
        yield server.port
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, family: socket.AddressFamily, address: Any) -> None:
        self.address_family = family
        super().__init__(address, _Request)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks the DNS for our name.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.port
        self.setup_environ()


class _Request(WSGIRequestHandler):
    timeout = _CLIENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: somebody asks every few seconds."""


def _listen(metrics: ProcessMetrics, settings: MetricsSettings) -> _Server:
    family, address = _address(settings.host)
    first = PORTS[metrics.command] if settings.port is None else settings.port
    ports = range(first, first + _STEP * _TRIES, _STEP) if settings.port is None else (first,)
    for port in ports:
        try:
            server = _Server(family, (address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise InvalidSetting(
                    f"LEARNER_METRICS__HOST, LEARNER_METRICS__PORT: cannot listen on "
                    f"{settings.host}:{port} ({error.strerror})"
                ) from None
        else:
            server.set_app(_app(metrics))
            return server
    more = f", and so are {ports[1]}, {ports[2]} … {ports[-1]}" if len(ports) > 1 else ""
    raise InvalidSetting(
        f"LEARNER_METRICS__PORT: {first} on {settings.host} is taken{more}; name another"
        f"{'' if more else ', or none to have the next free one'}"
    )


def _address(host: str) -> tuple[socket.AddressFamily, str]:
    try:
        family, *_, address = socket.getaddrinfo(
            host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise InvalidSetting(f"LEARNER_METRICS__HOST: {host} is no address ({error})") from None
    return family, str(address[0])


Start = Callable[[str, list[tuple[str, str]]], object]


def _app(metrics: ProcessMetrics) -> Callable[[dict[str, Any], Start], Iterable[bytes]]:
    def answer(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/metrics":
            status, kind, body = "404 Not Found", "text/plain", b"/metrics is here\n"
        elif environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            status, kind, body = "405 Method Not Allowed", "text/plain", b"GET only\n"
        else:
            status, (body, kind) = "200 OK", metrics.text()
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return answer
