"""The demo on the embedded default: a small class, every event accounted for."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from cli.main import app
from config.settings import DuckdbSettings, Settings
from demo.class_run import Class, Figures, run
from demo.report import as_json, latency_ms
from queries.duckdb import decisions_of, labels_given, most_decided, versions_of
from schemas.fields import TREE_IDS
from simulation.disturbance import Ledger
from sinks.duckdb_file import reading

KEYS = [
    "events",
    "decisions",
    "labels",
    "tree_versions",
    "prequential_accuracy",
    "baseline_accuracy",
    "events_per_s",
    "latency_p50_ms",
    "latency_p99_ms",
    "dead_letters",
    "unaccounted",
]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    file = tmp_path_factory.mktemp("demo") / "class.duckdb"
    return Settings(_env_file=None, duckdb=DuckdbSettings(file=file))


@pytest.fixture(scope="module")
def figures(settings: Settings) -> Figures:
    return run(settings, Class(learners=15, days=40, seed=3), lambda *_: None)


def test_every_event_is_accounted_for(figures: Figures) -> None:
    assert figures.unaccounted == 0
    assert figures.sent > 1_000
    assert figures.ledger.repeats == figures.outcomes["repeated"] > 0
    assert figures.ledger.malformed == figures.dead_letters.total() > 0
    assert figures.decisions > figures.sent / 10


def test_the_figures_have_their_published_keys(figures: Figures) -> None:
    line = as_json(figures)
    assert list(line) == KEYS
    assert orjson.loads(orjson.dumps(line)) == line
    assert 0 < line["latency_p50_ms"] <= line["latency_p99_ms"]


def test_the_file_can_be_asked_afterwards(settings: Settings, figures: Figures) -> None:
    file = settings.duckdb.file
    user_id = most_decided(file)
    assert user_id is not None
    assert {decision.user_id for decision in decisions_of(file, user_id)} == {user_id}
    given = labels_given(file, tree_id="primary_classification")
    assert sum(label.decisions for label in given) == figures.labels.total()
    assert len(versions_of(file)) == len(TREE_IDS) + figures.versions.total()


def test_the_file_holds_every_event_and_what_came_of_it(
    settings: Settings, figures: Figures
) -> None:
    with reading(settings.duckdb.file) as db:
        (kept,) = db.execute("SELECT count(*) FROM events").fetchone()
        counted = "SELECT sum(CAST(record->'$.events' AS INTEGER)) FROM behavior"
        (folded,) = db.execute(counted).fetchone()
        (decided,) = db.execute("SELECT count(*) FROM decisions").fetchone()
        (letters,) = db.execute("SELECT count(*) FROM dead_letters").fetchone()
    assert kept == folded == figures.outcomes["folded"]
    assert decided == figures.decisions
    assert letters == figures.outcomes["dead"]


def test_a_lost_event_shows() -> None:
    figures = Figures(
        sent=10,
        ledger=Ledger(repeats=2, malformed=1),
        outcomes=Counter(folded=6, repeated=2, dead=1),
        events_per_s=1.0,
        latencies=[],
        decisions=0,
        kept_events=8,
        faults=0,
        labels=Counter(),
        dead_letters=Counter(not_json=1),
        versions=Counter(),
    )
    assert figures.unaccounted == 1
    figures.kept_events -= 1
    assert figures.unaccounted == 2
    assert latency_ms(figures) == (0.0, 0.0)


def test_the_command_prints_one_json_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "demo", "--json", "--learners", "5", "--days", "20"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(orjson.loads(done.stdout)) == KEYS
    assert (tmp_path / "demo.duckdb").exists()


def test_it_takes_no_file_that_is_there(tmp_path: Path) -> None:
    kept = tmp_path / "learner.duckdb"
    kept.write_bytes(b"a stream's")
    done = CliRunner().invoke(app, ["demo", "--file", str(kept)])
    assert done.exit_code == 1
    assert str(kept) in done.stderr
    assert kept.read_bytes() == b"a stream's"
