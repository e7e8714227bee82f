"""The demo on the embedded default: a small class, every event accounted for."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import orjson
import pytest

from config.settings import DuckdbSettings, Settings
from demo.class_run import Class, Figures, run
from demo.report import as_json, latency_ms
from simulation.disturbance import Ledger
from sinks.embedded_file import decisions_of, labels_by_day, most_decided, versions_of

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
    assert sum(count for _, _, count in labels_by_day(file)) == figures.labels.total()
    assert len(versions_of(file)) == figures.versions.total()


def test_a_lost_event_shows() -> None:
    figures = Figures(
        sent=10,
        ledger=Ledger(repeats=2, malformed=1),
        outcomes=Counter(folded=6, repeated=2, dead=1),
        events_per_s=1.0,
        latencies=[],
        decisions=0,
        unconfirmed=0,
        labels=Counter(),
        dead_letters=Counter(not_json=1),
        versions=Counter(),
    )
    assert figures.unaccounted == 1
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
    assert (tmp_path / "learner.duckdb").exists()
