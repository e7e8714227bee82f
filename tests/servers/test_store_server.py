"""Ports of the servers that tests start."""

from __future__ import annotations

import shutil
import socket

import pytest

from servers import redis, store_server
from servers.kafka import free_ports


def test_a_port_is_given_out_once() -> None:
    given = free_ports(40)
    assert len(set(given)) == 40


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server installed")
def test_a_port_that_was_taken_meanwhile_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        (taken,) = free_ports(1)
        other.bind(("127.0.0.1", taken))
        other.listen()
        offered = [[taken], free_ports(1)]
        monkeypatch.setattr(store_server, "free_ports", lambda _: offered.pop(0))
        monkeypatch.setattr(redis, "docker_answers", lambda: False)
        server = redis.start()
        try:
            assert server.url != f"redis://127.0.0.1:{taken}/0"
        finally:
            server.stop()
