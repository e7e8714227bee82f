"""`learner doctor` on the command line: lines, JSON, exit codes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from config.settings import Settings
from doctor.finding import Finding
from servers.kafka import free_ports

FINDINGS = [
    Finding("kafka", "versions", "ok", "broker 1 [at] k:9092"),
    Finding("kafka", "copies", "warning", "replication 2", "set it to 3"),
    Finding("redis", "version", "ok", "8.2"),
]


def invoke(monkeypatch: pytest.MonkeyPatch, findings: list[Finding], *options: str) -> Any:
    async def examine(*_: object) -> list[Finding]:
        return findings

    monkeypatch.setattr("doctor.run.examine", examine)
    return CliRunner().invoke(app, ["doctor", *options])


def test_lines_stand_under_their_group_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoke(monkeypatch, FINDINGS)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "kafka",
        "  ok      versions  broker 1 [at] k:9092",
        "  warning copies    replication 2",
        "          → set it to 3",
        "redis",
        "  ok      version   8.2",
        "2 ok, 1 warning, 0 wrong",
    ]


def test_something_wrong_is_exit_code_1_and_json_is_a_line_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = Finding("kafka", "disk", "wrong", "full", "make room")
    done = invoke(monkeypatch, [*FINDINGS, wrong], "--json")
    assert done.exit_code == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1] == wrong._asdict()
    assert len(lines) == 4


def test_a_store_that_there_is_not_is_refused() -> None:
    done = CliRunner().invoke(app, ["doctor", "oracle"])
    assert (done.exit_code, "'oracle' is no store" in done.stderr) == (1, True)


def test_with_nobody_there_it_says_so_and_ends() -> None:
    (nobody,) = free_ports(1)
    done = CliRunner().invoke(app, ["doctor", "--json", "--kafka", f"127.0.0.1:{nobody}"])
    assert done.exit_code == 1
    found = {(f["group"], f["check"]): f for f in map(json.loads, done.stdout.splitlines())}
    assert found["kafka", "reachable"]["state"] == "wrong"
    assert ("this machine", "python") in found


def test_on_a_kafka_that_is_well_it_is_content(fresh_kafka: Settings) -> None:
    where = ["--kafka", fresh_kafka.kafka.bootstrap_servers, "--app-id", fresh_kafka.worker.app_id]
    done = CliRunner().invoke(app, ["doctor", *where])
    assert done.exit_code == 0, done.stdout
    assert " 0 wrong" in done.stdout
