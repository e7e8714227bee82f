"""Redis for tests: what it has acknowledged is there after a ``kill -9``."""

from __future__ import annotations

import shutil
from pathlib import Path

import redis

from servers.kafka import docker_answers
from servers.kafka_jars import ServerUnavailable
from servers.store_server import ChildServer, ContainerServer, StoreServer

_IMAGE = "redis:8-alpine"
_DURABLE = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]


def start() -> StoreServer:
    """The image that users take, on an engine, or Debian's ``redis-server``.

    Raises:
        ServerUnavailable: neither is here, or it does not start.
    """
    server: StoreServer
    if docker_answers():
        server = _DurableContainer()
    elif shutil.which("redis-server") is None:
        raise ServerUnavailable("no Docker engine and no redis-server here", possible=False)
    else:
        server = ChildServer("redis", _command, _url, _answers)
    server.start()
    return server


class _DurableContainer(ContainerServer):
    """With our options in place of the image's, which keep nothing between two snapshots."""

    def __init__(self) -> None:
        super().__init__(_IMAGE, 6379, _url, _answers, {})
        self._container.with_command(["redis-server", *_DURABLE])


def _command(data: Path, port: int) -> list[str]:
    places = ["--dir", str(data), "--port", str(port), "--bind", "127.0.0.1"]
    return ["redis-server", *places, *_DURABLE]


def _url(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


def _answers(url: str) -> bool:
    with redis.Redis.from_url(url, socket_timeout=1) as client:
        return bool(client.ping())
