"""The README's commands do what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app

ROOT = Path(__file__).parents[1]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = [text for kind, text in FENCED.findall((ROOT / "README.md").read_text()) if not kind]
GROUPS = {"convert", "decisions", "dlq", "keys", "prompt", "query", "schemas", "topics", "tree"}


def commands() -> set[tuple[str, ...]]:
    """The words that name a command, of every line that begins with `learner`."""
    lines = [line.split() for block in BLOCKS for line in block.splitlines() if line]
    found = [words[1:] for words in lines if words[0] in {"learner", ".venv/bin/learner"}]
    return {tuple(words[: 2 if words[0] in GROUPS else 1]) for words in found}


def test_there_is_something_to_test() -> None:
    assert len(commands()) >= 5


@pytest.mark.parametrize("command", sorted(commands()), ids=" ".join)
def test_every_command_of_the_readme_exists(command: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, [*command, "--help"]).exit_code == 0


def test_events_from_a_file_through_replay_to_verified_decisions(tmp_path: Path) -> None:
    block = next(block for block in BLOCKS if "learner simulate" in block)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r'\{"confirmed":[1-9]\d*,"wrong":0,"unchecked":0\}\n', done.stdout)
