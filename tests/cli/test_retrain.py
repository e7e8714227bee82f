"""`learner retrain` and `learner whatif` on a file that the DuckDB sink filled."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from example_streams.drifting import drifting
from typer.testing import CliRunner

from agents.sink_records import made_record
from agents.tree_publisher import versions_in_force
from cli.failures import Commands
from cli.retrain import retrain_trees
from cli.whatif import whatif
from config.seed_trees import seed_trees
from config.settings import DuckdbSettings, Settings
from schemas.contract import encode
from schemas.example import TreeExample
from schemas.fields import TREE_IDS, TreeId
from schemas.topics import DECISIONS, EXAMPLES, TREE_VERSIONS
from schemas.tree import TreeDocument
from sink_suite.stream_records import stream_records
from sinks.contract import SinkRecord
from sinks.duckdb import DuckdbSink
from streams.retraining import Plan, retrain
from streams.scoring import compile_tree
from streams.tree_edits import Editor, with_threshold
from streams.whatif import whatif as score_again

SHARE = ("--held-out", "0.3")  # 5 of the 20 learners at least
PRIMARY: TreeId = "primary_classification"
app = typer.Typer(cls=Commands)
app.command("retrain")(retrain_trees)
app.command("whatif")(whatif)

SCHEDULE = """
import sys, typer
from cli.failures import Commands
from cli.retrain import retrain_trees
app = typer.Typer(cls=Commands)
app.command("retrain")(retrain_trees)
app.command("nothing")(lambda: None)
app(sys.argv[1:])
"""


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def lines(done: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def examples_of(tree_id: TreeId) -> list[TreeExample]:
    return list(
        drifting(1_200, drift_every=1_200, tree_id=tree_id, seed=1 + TREE_IDS.index(tree_id))
    )


def recorded() -> list[SinkRecord]:
    """Examples that a tree can learn, decisions of a simulated class, and version 0 of both."""
    records = [record for record in stream_records() if record.topic == DECISIONS]
    for tree_id in TREE_IDS:
        tree = seed_trees()[tree_id]
        raw = tree.model_dump_json().encode()
        records.append(made_record(TREE_VERSIONS, 0, len(records), f"{tree_id}:0".encode(), raw))
        for example in examples_of(tree_id):
            key = example.user_id.encode()
            records.append(made_record(EXAMPLES, 0, len(records), key, encode(example)))
    return records


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("kept") / "learner.duckdb"

    async def fill() -> None:
        sink = DuckdbSink(DuckdbSettings(file=made), (DECISIONS, EXAMPLES, TREE_VERSIONS))
        await sink.setup()
        await sink.write(recorded())
        await sink.close()

    asyncio.run(fill())
    return made


def test_a_dry_run_reports_both_trees(file: Path) -> None:
    done = run("retrain", "--file", file, "--passes", 2, *SHARE, "--json")
    assert done.exit_code == 0, done.stderr
    reports = lines(done)
    assert [report["tree_id"] for report in reports] == list(TREE_IDS)
    for tree_id, report in zip(TREE_IDS, reports, strict=True):
        plan = Plan(passes=2, held_out=0.3)
        by = Editor("x", "", examples_of(tree_id)[0].decided_at)
        expected = retrain(examples_of(tree_id), seed_trees()[tree_id], plan, by).report
        held_out = report["held_out"]
        assert report["examples_used"] + held_out["examples"] == 1_200
        assert report["examples_used"] == expected.examples_used
        assert held_out["before"]["accuracy"] == expected.held_out.before.accuracy
        assert held_out["after"]["accuracy"] == expected.held_out.after.accuracy > 0.8
        assert held_out["difference"]["low"] == expected.held_out.difference.low
        assert report["changes"]["said"] == list(expected.changes.said)
        assert report["better"] is True
        assert report["published"] is False


def test_the_page_says_how_good_it_is_and_on_what(file: Path) -> None:
    done = run("retrain", PRIMARY, "--file", file, "--passes", "1", *SHARE)
    assert done.exit_code == 0, done.stderr
    page = " ".join(done.stdout.split())
    assert "primary_classification: version 0 retrained" in page
    assert "intervention_strategy" not in page
    assert "others. Foretold right of what was held out" in page
    assert "better, and not by chance" in page
    assert "What changed: " in page
    assert page.endswith("A dry run: nothing was published. --publish makes it version 1.")


def test_what_cannot_be_retrained_is_told_and_the_other_tree_is(file: Path, tmp_path: Path) -> None:
    done = run("retrain", "--file", file, "--min-examples", "5000")
    assert done.exit_code == 1
    assert "primary_classification: " in done.stderr
    assert "intervention_strategy: " in done.stderr
    assert "5000 are needed" in done.stderr
    assert run("retrain", "third_tree", "--file", file).exit_code == 2
    missing = run("retrain", "--file", tmp_path / "none.duckdb")
    assert missing.exit_code == 1
    assert "none.duckdb" in missing.stderr


def test_what_was_retrained_can_be_tried_on_past_decisions(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "new.jsonl"
    assert run("retrain", "--file", file, *SHARE, "--out", out).exit_code == 0
    documents = [TreeDocument.model_validate_json(line) for line in out.read_bytes().splitlines()]
    assert [(d.tree_id, d.version) for d in documents] == [(tree_id, 1) for tree_id in TREE_IDS]
    for document in documents:
        assert document.evaluation is not None
        done = run("whatif", document.tree_id, "--file", file, "--tree", out, "--json")
        assert done.exit_code == 0, done.stderr
        (found,) = lines(done)
        assert found["tree_id"] == document.tree_id
        assert found["decisions"] > 100
        assert 0 < len(found["affected"]) <= found["learners"] == 12


def test_a_moved_threshold_on_past_decisions(file: Path) -> None:
    from queries.duckdb import decisions  # noqa: PLC0415

    rule, value = "low-score-check", 0.2
    proposed = compile_tree(with_threshold(seed_trees()[PRIMARY], rule, value))
    expected = score_again(decisions(file, PRIMARY), proposed)
    assert expected.changed > 0
    move = ("--set-threshold", f"{rule}={value}")
    (found,) = lines(run("whatif", PRIMARY, "--file", file, *move, "--json"))
    assert found["changed"] == expected.changed
    assert [a["user_id"] for a in found["affected"]] == [a.user_id for a in expected.affected]
    # Version 0 decided all of them, so it says again what was said.
    (same,) = lines(run("whatif", PRIMARY, "--file", file, *move, "--json", "--in-force"))
    assert same == found

    page = run("whatif", PRIMARY, "--file", file, *move, "--show", "1").stdout
    assert f"{expected.changed:,} of {expected.decisions:,} decisions" in " ".join(page.split())
    latest = max(expected.affected, key=lambda a: (a.timestamp, a.user_id))
    assert f"{latest.user_id}  {latest.then} → {latest.proposed}" in page


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "either --tree or --set-threshold"),
        (("--set-threshold", "high-score-check"), 2, "RULE=VALUE"),
        (("--set-threshold", "high-score-check=x"), 2, "RULE=VALUE"),
        (("--set-threshold", "no-such-rule=1"), 1, "no rule 'no-such-rule'"),
    ],
)
def test_what_is_proposed_must_be_clear(
    file: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = run("whatif", PRIMARY, "--file", file, *arguments)
    assert done.exit_code == code
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_a_proposed_file_is_one_document_or_one_a_line(file: Path, tmp_path: Path) -> None:
    tree = seed_trees()[PRIMARY]
    proposed = tmp_path / "tree.json"
    for text in (tree.model_dump_json(indent=2), f"\n{tree.model_dump_json()}\n"):
        proposed.write_text(text)
        (found,) = lines(run("whatif", PRIMARY, "--file", file, "--tree", proposed, "--json"))
        assert found["changed"] == 0
    other = run("whatif", "intervention_strategy", "--file", file, "--tree", proposed)
    assert "there is no document of intervention_strategy in it" in other.stderr
    proposed.write_text(f'{tree.model_dump_json()}\n{{"tree_id": "{PRIMARY}"}}\n')
    broken = run("whatif", PRIMARY, "--file", file, "--tree", proposed)
    assert broken.exit_code == 1
    assert "document 2: no tree document" in broken.stderr


def test_what_is_better_is_published_once(file: Path, fresh_kafka: Settings) -> None:
    kafka = fresh_kafka.kafka
    server = ("--kafka", kafka.bootstrap_servers)
    command = ("retrain", PRIMARY, "--file", file, *server, *SHARE, "--json")

    def in_force() -> tuple[TreeDocument, ...]:
        return tuple(asyncio.run(versions_in_force(kafka, PRIMARY)))

    assert run(*command).exit_code == 0
    assert len(in_force()) == 1  # a dry run

    done = run(*command, "--publish", "--author", "ada", "--reason", "a new term")
    assert done.exit_code == 0, done.stderr
    (report,) = lines(done)
    assert report["published"] is True
    *_, document = in_force()
    assert (document.version, document.author, document.reason) == (1, "ada", "a new term")
    assert document.retraining_logs is not None
    assert document.retraining_logs.data_points_used == report["examples_used"]
    assert document.evaluation is not None
    assert document.evaluation.accuracy_after == report["held_out"]["after"]["accuracy"]

    again = run(*command, "--publish")
    assert again.exit_code == 1
    assert "primary_classification was not published: it decides as version 1" in again.stderr
    assert lines(again)[0]["before_version"] == 1
    assert len(in_force()) == 2
    assert run(*command, "--publish", "--force").exit_code == 0
    assert in_force()[-1].version == 2


@contextmanager
def schedule(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`learner retrain --every 1` as a process; killed after a minute, so that nothing hangs."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCHEDULE, "retrain", PRIMARY, "--every", "1", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    limit = threading.Timer(60, process.kill)
    limit.start()
    try:
        yield process
    finally:
        limit.cancel()
        process.kill()
        process.wait()


def test_a_schedule_goes_on_until_it_is_told_to_stop(file: Path) -> None:
    with schedule("--file", str(file), *SHARE, "--json") as process:
        assert process.stdout is not None
        rounds = [process.stdout.readline() for _ in range(2)]
        assert json.loads(rounds[0])["better"] is True
        assert rounds[0] == rounds[1]
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 0, said


def test_it_stops_in_the_middle_of_learning(file: Path) -> None:
    with schedule("--file", str(file), *SHARE, "--passes", "1000000") as process:
        time.sleep(5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=5)
        assert process.returncode == 0, said


def test_a_schedule_outlives_a_round_that_fails(tmp_path: Path) -> None:
    with schedule("--file", str(tmp_path / "later.duckdb")) as process:
        assert process.stderr is not None
        warned = [process.stderr.readline() for _ in range(2)]
        assert all("later.duckdb" in line for line in warned), warned
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 0
