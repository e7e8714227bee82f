"""Where /metrics is served: the command's own port or the next free one, and nothing else there."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request

import pytest

from agents import metrics_server
from agents.metrics import ProcessMetrics
from agents.metrics_server import PORTS, serving
from config.settings import MetricsSettings
from schemas.errors import InvalidSetting
from servers.kafka import free_ports

ANY = MetricsSettings(port=0)


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> ProcessMetrics:
    """Of a worker whose own port is one that nobody else on this machine uses."""
    (port,) = free_ports(1)
    monkeypatch.setitem(PORTS, "worker", port)
    return ProcessMetrics("worker")


def get(port: int, path: str = "/metrics", method: str = "GET") -> tuple[int, str, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # our own
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def test_the_metrics_are_there_while_the_block_runs(metrics: ProcessMetrics) -> None:
    with serving(metrics, ANY) as port:
        status, kind, text = get(port)
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert 'learner_build_info{command="worker",version="' in text
        assert "process_resident_memory_bytes" in text
        assert get(port, method="HEAD")[2] == ""
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 5)
    assert "metrics" not in {thread.name for thread in threading.enumerate()}


def test_nothing_else_is_there(metrics: ProcessMetrics) -> None:
    with serving(metrics, ANY) as port:
        assert get(port, "/")[0] == 404
        assert get(port, "/metrics/x")[0] == 404
        assert get(port, method="POST")[0] == 405


def test_only_this_machine_is_let_in_unless_told_otherwise() -> None:
    assert MetricsSettings().host == "127.0.0.1"
    with serving(ProcessMetrics("worker"), MetricsSettings(host="::1", port=0)) as port:
        socket.create_connection(("::1", port), 5).close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), 5)


def test_each_command_takes_its_own_port_then_the_next_with_that_digit(
    metrics: ProcessMetrics,
) -> None:
    settings = MetricsSettings()
    with serving(metrics, settings) as first, serving(metrics, settings) as second:
        assert (first, second) == (PORTS["worker"], PORTS["worker"] + 10)
        assert get(second)[0] == 200
    with serving(metrics, settings) as again:
        assert again == first


def test_the_commands_ports_end_in_different_digits() -> None:
    digits = {port % 10 for port in PORTS.values()}
    assert len(digits) == len(PORTS)


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(metrics: ProcessMetrics) -> None:
    with (
        serving(metrics, ANY) as port,
        pytest.raises(InvalidSetting, match=f"LEARNER_METRICS__PORT: {port} .* is taken; name"),
        serving(metrics, MetricsSettings(port=port)),
    ):
        pass


def test_no_free_port_at_all_is_an_error(
    metrics: ProcessMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_server, "_TRIES", 3)
    with (
        serving(metrics, MetricsSettings()),
        serving(metrics, MetricsSettings()),
        serving(metrics, MetricsSettings()),
        pytest.raises(InvalidSetting, match="is taken, and so are"),
        serving(metrics, MetricsSettings()),
    ):
        pass


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_a_host_that_is_not_ours_is_an_error(host: str, metrics: ProcessMetrics) -> None:
    with (
        pytest.raises(InvalidSetting, match="LEARNER_METRICS__HOST"),
        serving(metrics, MetricsSettings(host=host, port=0)),
    ):
        pass


def test_who_says_nothing_is_let_go_and_keeps_nobody_waiting(
    metrics: ProcessMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_server._Request, "timeout", 0.2)
    with serving(metrics, ANY) as port:
        silent = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(5)]
        assert get(port)[0] == 200
        assert [connection.recv(1) for connection in silent] == [b""] * 5
        for connection in silent:
            connection.close()
