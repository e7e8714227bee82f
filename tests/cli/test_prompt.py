"""What a teacher sees: a folder checked, a prompt shown, an edit that decisions still fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from agents.prompt_sets import prompts_in
from agents.topics import PROMPT_SETS
from cli.main import app
from config.prompts import prompts_folder
from config.settings import Settings
from schemas.contract import encode
from schemas.fields import LABELS
from simulation.classroom import simulate
from streams.prompt import MAX_PROMPT_CHARACTERS

LABEL_NAMES = [label for labels in LABELS.values() for label in labels]


def learner(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    folder = tmp_path / "edited"
    shutil.copytree(Path(str(prompts_folder(None))), folder)
    (folder / "primary_classification" / "fast-tracker.txt").write_text("Hurry! {topic} {because}")
    (folder / "intervention_strategy" / "encouragement.txt").write_text("Cheer! {because}")
    return folder


def test_check_says_the_version_and_how_long_each_can_become() -> None:
    done = learner("prompt", "check")
    assert done.exit_code == 0, done.output
    first, allowed, *lines = done.stdout.splitlines()
    assert first == f"version {prompts_in(None).version} in {prompts_folder(None)}"
    assert f"{MAX_PROMPT_CHARACTERS:,}" in allowed
    told = {file: int(longest.replace(",", "")) for longest, file in map(str.split, lines)}
    assert len(told) == len(LABEL_NAMES)
    assert all(500 < longest <= MAX_PROMPT_CHARACTERS for longest in told.values())


def test_check_takes_a_folder_from_the_argument_or_the_settings(edited: Path) -> None:
    version = prompts_in(edited).version
    for arguments in (
        ("prompt", "check", edited),
        ("--set", f"prompts.folder={edited}", "prompt", "check"),
    ):
        assert f"version {version}" in learner(*arguments).stdout


def test_check_says_what_is_wrong_in_one_line(edited: Path) -> None:
    file = edited / "primary_classification" / "fast-tracker.txt"
    file.write_text("Hurry, {name}!")
    done = learner("prompt", "check", edited)
    assert done.exit_code == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"learner: {file}: {{name}} is no placeholder")


@pytest.mark.parametrize("label", LABEL_NAMES)
def test_every_label_can_be_shown_by_its_name_or_its_file(label: str) -> None:
    done = learner("prompt", "show", label)
    assert done.exit_code == 0, done.output
    assert '"quadratic-equations"' in done.stdout
    assert "{" not in done.stdout
    assert done.stdout == learner("prompt", "show", label.lower().replace(" ", "-")).stdout


def test_show_takes_a_folder_and_a_level(edited: Path) -> None:
    assert learner("prompt", "show", "fast-tracker", edited).stdout.startswith("Hurry! ")
    shown = {
        level: learner("prompt", "show", "encouragement", "--level", level).stdout
        for level in ("basic", "intermediate", "advanced")
    }
    assert len(set(shown.values())) == 3
    assert "at a basic level" in shown["basic"]


def test_a_label_that_does_not_exist_is_told_which_there_are() -> None:
    done = learner("prompt", "show", "genius")
    assert done.exit_code == 1
    assert "Steady Achiever" in done.stderr


@pytest.fixture
def decisions(edited: Path, tmp_path: Path) -> Path:
    """What replay decides with the edited folder."""
    events, decisions = tmp_path / "events.jsonl", tmp_path / "decisions.jsonl"
    events.write_bytes(b"".join(line + b"\n" for line in simulate(4, 20, seed=5)))
    done = learner("--set", f"prompts.folder={edited}", "replay", events)
    assert done.exit_code == 0, done.output
    decisions.write_text(done.stdout)
    return decisions


def test_decisions_by_an_edited_set_are_confirmed_by_whoever_has_it(
    decisions: Path, edited: Path
) -> None:
    count = len(decisions.read_text().splitlines())
    assert count > 20
    all_hold = {"confirmed": count, "wrong": 0, "unchecked": 0}
    for arguments in (
        ("decisions", "verify", decisions, "--prompts", edited),
        ("--set", f"prompts.folder={edited}", "decisions", "verify", decisions),
    ):
        done = learner(*arguments)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout) == all_hold


def test_decisions_by_a_set_that_nobody_gave_cannot_be_checked(decisions: Path) -> None:
    lines = decisions.read_text().splitlines()
    wrong = json.loads(lines[0])
    wrong["decision_label"] = next(n for n in LABEL_NAMES if n != wrong["decision_label"])
    decisions.write_text("\n".join([json.dumps(wrong), *lines[1:]]))
    done = learner("decisions", "verify", decisions)
    assert done.exit_code == 1
    first, second, *_, last = map(json.loads, done.stdout.splitlines())
    assert "differences" in first
    assert second["line"] == 2
    assert "--prompts" in second["unchecked"]
    assert last == {"confirmed": 0, "wrong": 1, "unchecked": len(lines) - 1}
    assert f"{len(lines) - 1} cannot be checked" in done.stderr


def test_a_prompt_changed_afterwards_does_not_hold(decisions: Path, edited: Path) -> None:
    lines = decisions.read_text().splitlines()
    record = json.loads(lines[3])
    record["llm_prompt_output"] += " And tell the solution."
    lines[3] = json.dumps(record)
    decisions.write_text("\n".join(lines))
    done = learner("decisions", "verify", decisions, "--prompts", edited)
    assert done.exit_code == 1
    fault, count = map(json.loads, done.stdout.splitlines())
    assert fault["line"] == 4
    assert [told.partition(":")[0] for told in fault["differences"]] == ["llm_prompt_output"]
    assert count["wrong"] == 1


def test_a_set_on_kafka_is_known(decisions: Path, edited: Path, fresh_kafka: Settings) -> None:
    kafka = fresh_kafka.kafka.bootstrap_servers
    assert learner("decisions", "verify", decisions, "--kafka", kafka).exit_code == 1
    prompts = prompts_in(edited)
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(PROMPT_SETS, encode(prompts.set), prompts.version)
    assert producer.flush(10) == 0
    done = learner("decisions", "verify", decisions, "--kafka", kafka)
    assert done.exit_code == 0, done.output
