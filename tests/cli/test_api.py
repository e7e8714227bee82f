"""`learner api` as a process: it listens, answers and stops in good order."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from pathlib import Path

from api_suite.served import nowhere
from config.settings import ApiSettings, MetricsSettings, Settings
from faults.command_process import CommandProcess
from servers.kafka import free_ports


def settings(port: int, metrics: int | None = None) -> Settings:
    bare = Settings(
        _env_file=None, api=ApiSettings(port=port), metrics=MetricsSettings(port=metrics)
    )
    return nowhere(bare, "redis", "postgres")


def url_in(log: Path) -> str:
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        for line in log.read_text().splitlines():
            if '"listening"' in line:
                return str(json.loads(line)["url"])
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def body(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # ours
        read: bytes = answer.read()
    return read


def test_it_listens_answers_and_stops(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    (metrics,) = free_ports(1)
    process = CommandProcess("api", settings(0, metrics), log)
    try:
        url = url_in(log)
        assert body(f"{url}/healthz") == b'{"status":"ok"}'
        assert b"learner_api_requests_total" in body(f"http://127.0.0.1:{metrics}/metrics")
        assert process.terminate() == 0
    finally:
        process.kill()
    assert '"event": "stopping"' in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = CommandProcess("api", settings(taken.getsockname()[1]), log)
        assert process.wait(60) == 1
    last = log.read_text().splitlines()[-1]
    assert last.startswith("learner: LEARNER_API__HOST, LEARNER_API__PORT: cannot listen on ")
    assert "Traceback" not in log.read_text()
