"""A proxy between clients and brokers that cuts, slows and heals: toxiproxy, built here by Go.

It is built once, into ``.tools/toxiproxy/``, from the module that ``toxiproxy/go.mod`` pins.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from servers.go_build import built_once, run_tool
from servers.kafka import free_ports
from servers.store_server import ChildServer

Direction = Literal["upstream", "downstream"]
"""``upstream``: what clients send; ``downstream``: what brokers answer."""

_BOTH: tuple[Direction, ...] = ("upstream", "downstream")
_SOURCE = Path(__file__).parent / "toxiproxy"
_TOOLS = Path(__file__).parents[2] / ".tools" / "toxiproxy"
_COMMAND = "github.com/Shopify/toxiproxy/v2/cmd/server"
_FOREVER_MS = 3_600_000
_API_SECONDS = 10


class BrokerProxy:
    """One address of its own for each broker behind it.

    Faults add up until `heal`. They hit the broker numbered ``only``, or all of them.

    Args:
        brokers: ports on 127.0.0.1 that the proxy leads to.
    """

    def __init__(self, brokers: Sequence[int]) -> None:
        program = str(toxiproxy())
        self.ports = free_ports(len(brokers))
        self._brokers = list(brokers)
        self._server = ChildServer(
            "toxiproxy",
            lambda _, port: [program, "-host", "127.0.0.1", "-port", str(port)],
            lambda port: f"http://127.0.0.1:{port}",
            lambda url: _request(url, "GET", "/version"),
            environment={"LOG_LEVEL": "error"},
        )

    def start(self) -> None:
        """
        Raises:
            ServerUnavailable: it ended or did not answer.
        """
        self._server.start()
        for number, (outside, inside) in enumerate(zip(self.ports, self._brokers, strict=True)):
            self._ask(
                "proxies",
                name=_name(number),
                listen=f"127.0.0.1:{outside}",
                upstream=f"127.0.0.1:{inside}",
                enabled=True,
            )

    def stop(self) -> None:
        self._server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def refuse(self, only: int | None = None) -> None:
        """Ends every connection, and refuses new ones: the process behind is not there."""
        for number in self._hit(only):
            self._ask(f"proxies/{_name(number)}", enabled=False)

    def reset(self, only: int | None = None) -> None:
        """Ends every connection at the next bytes that it carries, a new one by a reset."""
        self._spoil(only, _BOTH, "reset_peer", timeout=0)

    def black_hole(self, only: int | None = None, directions: Sequence[Direction] = _BOTH) -> None:
        """What is sent is gone, without an error; `heal` ends those connections."""
        self._spoil(only, directions, "timeout", timeout=0)

    def hold(self, only: int | None = None, directions: Sequence[Direction] = _BOTH) -> None:
        """What is sent waits, and arrives with `heal`: a cable pulled for less than TCP's
        patience."""
        self._spoil(only, directions, "latency", latency=_FOREVER_MS)

    def delay(
        self, milliseconds: int, only: int | None = None, directions: Sequence[Direction] = _BOTH
    ) -> None:
        """All that is sent arrives so much later, in each of the directions."""
        self._spoil(only, directions, "latency", latency=milliseconds)

    def throttle(
        self, kilobytes: int, only: int | None = None, directions: Sequence[Direction] = _BOTH
    ) -> None:
        """So many kB a second, for each connection."""
        self._spoil(only, directions, "bandwidth", rate=kilobytes)

    def heal(self) -> None:
        """Everything as it was at the start."""
        self._ask("reset")

    def _hit(self, only: int | None) -> Sequence[int]:
        return range(len(self._brokers)) if only is None else (only,)

    def _spoil(
        self, only: int | None, directions: Sequence[Direction], kind: str, **how: int
    ) -> None:
        for number in self._hit(only):
            for direction in directions:
                self._ask(
                    f"proxies/{_name(number)}/toxics",
                    name=f"{kind}-{direction}",
                    type=kind,
                    stream=direction,
                    attributes=how,
                )

    def _ask(self, path: str, **body: Any) -> None:
        _request(self._server.url, "POST", f"/{path}", json.dumps(body))


def toxiproxy() -> Path:
    """The program; built once, and whole or not at all.

    Raises:
        ServerUnavailable: no Go, or it could not build it.
    """
    pinned = re.search(r"toxiproxy/v2 v(\S+)", (_SOURCE / "go.mod").read_text())
    assert pinned is not None
    return built_once("toxiproxy", _TOOLS / pinned[1] / "toxiproxy", ("go",), _build)


def _build(scratch: Path) -> Path:
    ours = scratch / "ours"
    shutil.copytree(_SOURCE, ours)
    run_tool("toxiproxy", ["go", "build", "-trimpath", "-o", "toxiproxy", _COMMAND], ours)
    return ours / "toxiproxy"


def _request(url: str, method: str, path: str, body: str | None = None) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_API_SECONDS)
    with contextlib.closing(connection):
        connection.request(method, path, body)
        answer = connection.getresponse()
        said = answer.read().decode()
        assert answer.status < http.HTTPStatus.BAD_REQUEST, f"{method} {path}: {said}"


def _name(number: int) -> str:
    return f"broker-{number}"
