"""The command line as its users meet it: output, errors, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from typer.testing import CliRunner

from chat.tokens import sign_token
from cli.failures import READER_LEFT
from cli.main import app
from config.settings import Settings

COMMANDS = (
    "convert oulad", "decisions verify", "demo", "explain", "prompt check", "prompt show", "replay",
    "schemas export", "settings", "simulate", "topics create", "trainer", "tree list", "tree show",
    "worker",
)  # fmt: skip

USER = "0b5b6cf2-6a59-4d3b-9e6c-1e2d3f4a5b6c"
LEARNER = (sys.executable, "-m", "cli.main")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, so that nothing is patched away."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("LEARNER_")}
    with TemporaryDirectory() as elsewhere:
        return subprocess.run(
            [*LEARNER, *arguments],
            cwd=elsewhere,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**ours, "TERM": "dumb", **environment},
        )


def assert_one_clear_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("learner: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does(command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--help"])
    assert done.exit_code == 0
    assert "Usage" in done.output


def test_settings_are_json_lines_with_secrets_hidden() -> None:
    done = run("settings", **{"LEARNER_KAFKA__SASL_PASSWORD": "correct horse"})
    assert done.returncode == 0
    assert done.stderr == ""
    assert "correct horse" not in done.stdout
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    values = {line["name"]: line for line in lines}
    assert values["kafka.sasl_password"] == {
        "variable": "LEARNER_KAFKA__SASL_PASSWORD",
        "name": "kafka.sasl_password",
        "value": "**********",
        "origin": "environment",
    }
    assert len(values) == sum(len(type(s).model_fields) for _, s in Settings(_env_file=None))


def test_set_is_a_flag_for_any_setting(tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    env_file.write_text("LEARNER_KAFKA__PARTITIONS=5\n")
    arguments = ("--env-file", str(env_file), "--set", "kafka.partitions=6", "settings")
    line = next(x for x in run(*arguments).stdout.splitlines() if "kafka.partitions" in x)
    assert json.loads(line)["value"] == 6
    assert json.loads(line)["origin"] == "flag"


def test_a_wrong_setting_is_one_clear_line() -> None:
    done = run("settings", LEARNER_KAFKA__PARTITIONS="many")
    assert_one_clear_line(done, "LEARNER_KAFKA__PARTITIONS", "'many'", "integer")


@pytest.mark.parametrize(
    "command",
    ["topics create", "worker", "tree list", f"explain {USER}"],
)
def test_an_unreachable_broker_is_one_clear_line(command: str) -> None:
    done = run(*command.split(), "--kafka", "127.0.0.1:1", LEARNER_LOG__LEVEL="error")
    assert_one_clear_line(done, "127.0.0.1:1", "LEARNER_KAFKA__BOOTSTRAP_SERVERS")


@pytest.mark.parametrize(
    "command",
    [
        "decisions verify nowhere.jsonl",
        "convert oulad nowhere.jsonl",
        "tree list --trees nowhere.jsonl",
        "replay nowhere.jsonl",
        f"explain {USER} --decisions nowhere.jsonl",
        f"explain {USER} --file nowhere.jsonl",
    ],
)
def test_a_missing_file_is_one_clear_line(command: str) -> None:
    assert_one_clear_line(run(*command.split()), "nowhere.jsonl")


def test_wrong_usage_is_exit_code_2() -> None:
    assert run("replay").returncode == 2
    assert run("no-such-command").returncode == 2
    assert run("--set", "without-a-value", "settings").returncode == 2
    assert run("deliveries", "--ack", "--from-beginning").returncode == 2


def test_a_class_begins_when_it_is_told_to() -> None:
    done = run("simulate", "--learners", "3", "--days", "10", "--start", "2026-02-03")
    times = [json.loads(line)["occurred_at"] for line in done.stdout.splitlines()]
    assert times
    assert all("2026-02-03" <= time < "2026-02-13" for time in times)


def test_what_replay_takes_for_no_event_is_told_by_reason(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no event\n[]\n{}\n")
    done = run("replay", str(file))
    assert done.returncode == 0
    assert "dead letters: " in done.stderr
    assert "1 not_json" in done.stderr
    assert "--dead-letters" in done.stderr


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    command = subprocess.Popen(
        [*LEARNER, "simulate", "--learners", "2000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert command.stdout is not None
    assert command.stderr is not None
    assert json.loads(command.stdout.readline())["event_id"]
    command.stdout.close()
    assert command.wait(60) == READER_LEFT
    assert command.stderr.read() == b""
    command.stderr.close()


def test_no_command_waits_for_what_only_another_needs() -> None:
    """River, Faust and the stores' drivers take a second to load; a command loads its own."""
    code = "import sys, cli.main; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"river", "faust", "aiokafka", "aiohttp", "pandas", "duckdb", "sqlalchemy", "pymongo"}
    assert not heavy & set(done.stdout.split())


def test_a_token_of_somebody_else_is_one_clear_line() -> None:
    holder, user = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "0b5a7c1e-6d0f-4f5e-9a55-0c4d1f7a2b90"
    token = sign_token("0123456789abcdef" * 2, holder, "learner", datetime.now(UTC), 60)
    done = run("chat", user, CHAT_TOKEN=token)
    assert_one_clear_line(done, holder, user, "CHAT_TOKEN")
