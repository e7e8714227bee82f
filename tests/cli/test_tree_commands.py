"""`tree …`, `decisions verify`, `explain`: what they read and how they answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from agents.topics import TREE_VERSIONS
from agents.trainer_log import version_key
from cli.main import app
from cli.tree import outline
from config.seed_trees import seed_trees
from config.settings import Settings
from schemas.feature import FEATURES
from schemas.fields import LABELS
from schemas.tree import Branch, Leaf, TreeDocument

FEATURE = FEATURES[0] if isinstance(FEATURES[0], str) else FEATURES[0].name
LOW, HIGH = LABELS["primary_classification"][:2]


def a_tree(version: int = 7) -> TreeDocument:
    return TreeDocument(
        tree_id="primary_classification",
        version=version,
        author="test",
        reason="two leaves",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        nodes=(
            Branch(rule_id="root", feature=FEATURE, threshold=0.5, left=1, right=2),
            Leaf(rule_id="low", distribution={LOW: 3.0, HIGH: 1.0}),
            Leaf(rule_id="high", distribution={HIGH: 2.0}),
        ),
    )


def test_a_tree_is_shown_as_an_indented_list_of_its_rules() -> None:
    assert outline(a_tree()) == [
        "[root]",
        f"  {FEATURE} <= 0.5: {LOW} 75%, {HIGH} 25% [low]",
        f"  {FEATURE} > 0.5: {HIGH} 100% [high]",
    ]


def test_versions_come_from_the_seed_and_from_files(tmp_path: Path) -> None:
    file = tmp_path / "trees.jsonl"
    file.write_text(a_tree().model_dump_json() + "\n")
    done = CliRunner().invoke(app, ["tree", "list", "--json", "--trees", str(file)])
    assert done.exit_code == 0, done.output
    found = {(t["tree_id"], t["version"]): t for t in map(json.loads, done.stdout.splitlines())}
    assert set(found) == {
        ("primary_classification", 0), ("primary_classification", 7), ("intervention_strategy", 0)
    }  # fmt: skip
    assert found["primary_classification", 7]["nodes"] == 3
    assert found["primary_classification", 7]["leaves"] == 2


def test_the_newest_version_is_shown_and_its_document_reads_back(tmp_path: Path) -> None:
    file = tmp_path / "trees.jsonl"
    file.write_text(a_tree().model_dump_json() + "\n")
    command = ["tree", "show", "primary_classification", "--trees", str(file), "--json"]
    done = CliRunner().invoke(app, command)
    assert TreeDocument.model_validate_json(done.stdout) == a_tree()
    done = CliRunner().invoke(app, [*command, "--version", "3"])
    assert done.exit_code == 1
    assert "no version 3 here, only 0, 7" in done.stderr


def test_a_file_that_holds_something_else_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "trees.jsonl"
    file.write_text(a_tree().model_dump_json() + '\n{"tree_id": "x"}\n')
    done = CliRunner().invoke(app, ["tree", "list", "--json", "--trees", str(file)])
    assert done.exit_code == 1
    assert f"{file}, line 2: no tree document" in done.stderr


def test_one_version_cannot_be_two_trees(tmp_path: Path) -> None:
    file = tmp_path / "trees.jsonl"
    other = a_tree().model_copy(update={"reason": "another"})
    file.write_text(a_tree().model_dump_json() + "\n" + other.model_dump_json() + "\n")
    done = CliRunner().invoke(app, ["tree", "list", "--json", "--trees", str(file)])
    assert done.exit_code == 1
    assert "version 7 is known otherwise" in done.stderr


def versions_file(folder: Path) -> Path:
    """Versions 7, with another threshold 8, and with another label 9."""
    moved = a_tree(8).nodes[0].model_copy(update={"threshold": 3.0})
    relabelled = Leaf(rule_id="low", distribution={HIGH: 1.0})
    eighth = a_tree(8).model_copy(update={"nodes": (moved, *a_tree().nodes[1:]), "pinned": True})
    ninth = eighth.model_copy(
        update={"version": 9, "nodes": (moved, relabelled, a_tree().nodes[2]), "pinned": False}
    )
    file = folder / "trees.jsonl"
    file.write_text("".join(t.model_dump_json() + "\n" for t in (a_tree(), eighth, ninth)))
    return file


def test_a_diff_says_in_words_what_the_later_version_does_otherwise(tmp_path: Path) -> None:
    command = ["tree", "diff", "primary_classification", "--trees", str(versions_file(tmp_path))]
    done = CliRunner().invoke(app, [*command, "7", "8"])
    assert done.stdout.splitlines() == [
        "before: version 7, by test: two leaves",
        "after: version 8, pinned, by test: two leaves",
        f"  moved the threshold of {FEATURE} from 0.5 to 3 at the root",
    ]
    done = CliRunner().invoke(app, command)
    assert done.stdout.splitlines()[2:] == [f"  {HIGH} instead of {LOW} where {FEATURE} low"]
    done = CliRunner().invoke(app, [*command, "7", "7"])
    assert done.stdout.splitlines()[2:] == ["  both decide alike"]


def test_a_diff_for_a_program_is_one_object(tmp_path: Path) -> None:
    command = ["tree", "diff", "primary_classification", "--trees", str(versions_file(tmp_path))]
    found = json.loads(CliRunner().invoke(app, [*command, "7", "--json"]).stdout)
    assert (found["before"]["version"], found["after"]["version"]) == (7, 9)
    assert found["moved"] == [{"rule_id": "root", "feature": FEATURE, "before": 0.5, "after": 3.0}]
    assert found["relabelled"] == [{"rule_id": "low", "before": LOW, "after": HIGH}]
    assert (found["added"], found["removed"], len(found["said"])) == ([], [], 2)


@pytest.mark.parametrize(("numbers", "said"), [(["3"], "no version 3, only 0, 7, 8, 9")])
def test_a_diff_with_a_version_that_is_none_is_refused(
    tmp_path: Path, numbers: list[str], said: str
) -> None:
    command = ["tree", "diff", "primary_classification", "--trees", str(versions_file(tmp_path))]
    done = CliRunner().invoke(app, [*command, *numbers])
    assert done.exit_code == 1
    assert said in done.stderr


class Command:
    """`learner tree …` on one Kafka."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = ["--kafka", settings.kafka.bootstrap_servers]

    def ok(self, *words: str) -> list[dict[str, Any]]:
        done = CliRunner().invoke(app, ["tree", *words, *self._kafka])
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    def refused(self, *words: str) -> str:
        done = CliRunner().invoke(app, ["tree", *words, *self._kafka])
        assert (done.exit_code, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        return line


@pytest.fixture
def tree(fresh_kafka: Settings) -> Command:
    return Command(fresh_kafka)


PRIMARY = "primary_classification"
WHY = ("--reason", "exam week", "--author", "m.curie")


def test_each_edit_is_a_version_that_says_who_and_why(tree: Command) -> None:
    (first,) = tree.ok("set-threshold", PRIMARY, "underconfidence-check", "-0.3", *WHY)
    assert (first["version"], first["author"], first["reason"]) == (1, "m.curie", "exam week")
    assert (first["pinned"], "nodes" in first, first["retraining_logs"]) == (False, True, None)
    (second,) = tree.ok("pin", PRIMARY, "0", *WHY, "--expect-version", "1")
    assert (second["version"], second["pinned"]) == (2, True)
    (third,) = tree.ok("set-threshold", PRIMARY, "silence-check", "100", *WHY)
    assert (third["version"], third["pinned"]) == (3, True)
    (fourth,) = tree.ok("unpin", PRIMARY, *WHY)
    assert (fourth["version"], fourth["pinned"]) == (4, False)
    (fifth,) = tree.ok("rollback", PRIMARY, *WHY, "--to", "1")
    (sixth,) = tree.ok("rollback", PRIMARY, *WHY)
    listed = [t for t in tree.ok("list", "--json") if t["tree_id"] == PRIMARY]
    assert listed[1:] == [first, second, third, fourth, fifth, sixth]
    (found,) = tree.ok("diff", PRIMARY, "--json")
    assert (found["before"]["version"], found["after"]["version"]) == (5, 6)
    assert {m["rule_id"]: (m["before"], m["after"]) for m in found["moved"]} == {
        "silence-check": (336, 100), "underconfidence-check": (-0.3, -0.25)
    }  # fmt: skip
    (none,) = tree.ok("diff", PRIMARY, "0", "2", "--json")
    assert none["moved"] == none["said"] == []
    assert tree.ok("show", PRIMARY, "--json")[0]["version"] == 6


def test_an_edit_that_cannot_be_is_one_line_and_changes_nothing(tree: Command) -> None:
    tree.ok("set-threshold", PRIMARY, "silence-check", "100", *WHY)
    before = tree.ok("list", "--json")
    threshold = ("set-threshold", PRIMARY)
    said = [
        tree.refused(*threshold, "no-check", "1", *WHY),
        tree.refused(*threshold, "no-sign-yet", "1", *WHY),
        tree.refused(*threshold, "silence-check", "nan", *WHY),
        tree.refused(*threshold, "silence-check", "-1", *WHY),
        tree.refused(*threshold, "silence-check", "100", *WHY),
        tree.refused(*threshold, "silence-check", "90", "--reason", " "),
        tree.refused(*threshold, "silence-check", "90", *WHY, "--expect-version", "0"),
        tree.refused("pin", PRIMARY, "9", *WHY),
        tree.refused("unpin", PRIMARY, *WHY),
        tree.refused("rollback", PRIMARY, "--to", "1", *WHY),
        tree.refused("rollback", "intervention_strategy", *WHY),
    ]
    expected = [
        "has no rule 'no-check'", "is a leaf", "nan is no threshold", "-1 is no threshold",
        "is 100 already", "say why", "version 1 by m.curie (exam week) is in force",
        "has no version 9, only 0, 1", "is not pinned", "version 1 is in force already",
        "is the first",
    ]  # fmt: skip
    for line, words in zip(said, expected, strict=True):
        assert words in line
    assert tree.ok("list", "--json") == before


def test_who_came_second_is_not_listed(tree: Command, fresh_kafka: Settings) -> None:
    (first,) = tree.ok("set-threshold", PRIMARY, "silence-check", "100", *WHY)
    second = seed_trees()["primary_classification"].model_copy(update={"version": 1})
    producer = Producer({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
    producer.produce(TREE_VERSIONS, second.model_dump_json().encode(), version_key(second))
    assert producer.flush(10) == 0
    assert [t for t in tree.ok("list", "--json") if t["version"] == 1] == [first]
    (shown,) = tree.ok("show", PRIMARY, "--json")
    assert shown["reason"] == "exam week"


def test_who_does_it_is_the_user_when_nobody_says(
    tree: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "marie")
    assert tree.ok("pin", PRIMARY, "0", "--reason", "x")[0]["author"] == "marie"

    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert "--author" in tree.refused("unpin", PRIMARY, "--reason", "x")


def test_what_is_no_decision_is_counted_and_named(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    file.write_text('{"decision_id": 1}\n\nnot json\n')
    done = CliRunner().invoke(app, ["decisions", "verify", str(file)])
    assert done.exit_code == 1
    *faults, last = map(json.loads, done.stdout.splitlines())
    assert [(fault["line"], len(fault["differences"])) for fault in faults] == [(1, 1), (3, 1)]
    assert last == {"confirmed": 0, "wrong": 2, "unchecked": 0}
    assert "2 of 2 decisions do not hold" in done.stderr
