"""`tree list`, `tree show`, `decisions verify`, `explain`: what they read and how they answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from typer.testing import CliRunner

from cli.main import app
from cli.tree import outline
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
    done = CliRunner().invoke(app, ["tree", "list", "--trees", str(file)])
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
    done = CliRunner().invoke(app, ["tree", "list", "--trees", str(file)])
    assert done.exit_code == 1
    assert f"{file}, line 2: no tree document" in done.stderr


def test_one_version_cannot_be_two_trees(tmp_path: Path) -> None:
    file = tmp_path / "trees.jsonl"
    other = a_tree().model_copy(update={"reason": "another"})
    file.write_text(a_tree().model_dump_json() + "\n" + other.model_dump_json() + "\n")
    done = CliRunner().invoke(app, ["tree", "list", "--trees", str(file)])
    assert done.exit_code == 1
    assert "version 7 is known otherwise" in done.stderr


def test_what_is_no_decision_is_counted_and_named(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    file.write_text('{"decision_id": 1}\n\nnot json\n')
    done = CliRunner().invoke(app, ["decisions", "verify", str(file)])
    assert done.exit_code == 1
    *faults, last = map(json.loads, done.stdout.splitlines())
    assert [(fault["line"], len(fault["differences"])) for fault in faults] == [(1, 1), (3, 1)]
    assert last == {"confirmed": 0, "wrong": 2}
    assert "2 of 2 decisions do not hold" in done.stderr
