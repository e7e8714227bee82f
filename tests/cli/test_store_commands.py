"""`learner sink`, `learner audit` and `learner query` as a person types them, on one file."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from agents.topics import EVENTS
from cli.main import app
from config.settings import DuckdbSettings, Settings, SinkSettings
from faults.command_process import CommandProcess
from faults.committed_records import lag
from simulation.classroom import simulate
from sink_suite.stream_records import stream_records
from sinks.contract import SinkRecord
from sinks.duckdb import DuckdbSink


def learner(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a simulated class leaves, written by the sink."""
    import asyncio  # noqa: PLC0415

    path = tmp_path_factory.mktemp("kept") / "learner.duckdb"

    async def fill() -> None:
        sink = DuckdbSink(DuckdbSettings(file=path))
        await sink.setup()
        await sink.write(stream_records())
        await sink.close()

    asyncio.run(fill())
    return path


def some(topic: str) -> SinkRecord:
    return next(record for record in reversed(stream_records()) if record.topic == topic)


def value(topic: str) -> dict[str, object]:
    found = some(topic).value
    assert found is not None
    return found


def test_a_sink_fills_a_store_and_the_audit_finds_it_in_step(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    settings = fresh_kafka.model_copy(
        update={
            "duckdb": DuckdbSettings(file=tmp_path / "learner.duckdb"),
            "sink": SinkSettings(max_age_seconds=0.1),
        }
    )
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    lines = list(simulate(3, 5, seed=2))
    for line in lines:
        producer.produce(EVENTS, line, json.loads(line)["user_id"])
    assert producer.flush(10) == 0
    where = ["--kafka", settings.kafka.bootstrap_servers, "--app-id", settings.worker.app_id]
    where += ["--file", str(settings.duckdb.file)]
    worker = CommandProcess("worker", settings, tmp_path / "worker.log")
    sink = CommandProcess("sink duckdb", settings, tmp_path / "sink.log")
    try:
        limit = time.monotonic() + 60
        while lag(settings) > 0:
            assert time.monotonic() < limit
            time.sleep(0.2)
        code, out, err = learner("audit", "duckdb", "--json", *where)
        assert code == 0, (out, err)
        report = json.loads(out)["duckdb"]
        assert report["tables"]["events"]["rows"] == len(lines)
        assert (report["missing"], report["extra"], report["different"]) == (0, 0, 0)
        code, out, _ = learner("audit", "duckdb", *where)
        assert code == 0
        assert out.rstrip().endswith("in step")
        assert sink.terminate() == 0
        assert worker.terminate() == 0
    finally:
        sink.kill()
        worker.kill()
    told = json.loads((tmp_path / "sink.log").read_text().splitlines()[-1])
    assert told["store"] == "duckdb"
    assert told["behind"] == 0
    assert told["written"] > len(lines)
    settings.duckdb.file.unlink()
    code, out, _ = learner("audit", "duckdb", "--wait", "1", *where)
    assert code == 1


@pytest.mark.parametrize("command", ["sink", "audit"])
def test_a_store_that_does_not_exist_is_named(command: str) -> None:
    code, _, err = learner(command, "oracle")
    assert code == 1
    assert "'oracle' is no store; there are postgres, mongodb," in err


def test_a_course_journey(file: Path) -> None:
    state = value("engagement")
    who = [str(state["user_id"]), str(state["course_id"])]
    code, out, _ = learner("query", "journey", *who, "--file", str(file), "--json")
    assert code == 0
    assert json.loads(out)["topic_scores"] == state["topic_scores"]
    code, out, _ = learner("query", "journey", *who, "--steps", "--file", str(file), "--json")
    steps = [json.loads(line) for line in out.splitlines()]
    events = [
        r.value
        for r in stream_records()
        if r.topic == EVENTS and r.value and r.value["user_id"] == who[0]
    ]
    assert [s["type"] for s in steps] == [
        e["type"] for e in events if e.get("course_id", "") == who[1]
    ]
    code, _, err = learner("query", "journey", who[0], "no-such-course", "--file", str(file))
    assert code == 1
    assert "nothing is known of" in err


def test_all_that_is_known_of_a_learner(file: Path) -> None:
    who = str(value("engagement")["user_id"])
    code, out, _ = learner("query", "learner", who.upper(), "--file", str(file), "--json")
    assert code == 0
    across, *journeys = map(json.loads, out.splitlines())
    assert across["user_id"] == who
    told = {
        str(r.value["course_id"]): r.value["labels"]
        for r in stream_records()
        if r.topic == "engagement" and r.value and r.value["user_id"] == who
    }
    assert {each["course_id"]: each["labels"] for each in journeys} == told
    code, out, _ = learner("query", "learner", who, "--file", str(file))
    assert re.search(r"^total_courses +\d+$", out, re.MULTILINE)
    assert "primary_classification: " in out
    code, _, err = learner("query", "learner", "nobody", "--file", str(file))
    assert code == 1
    assert "nothing is known of nobody" in err


def test_decisions_with_their_reasons(file: Path) -> None:
    decision = value("learner.decisions")
    who = str(decision["user_id"])
    code, out, _ = learner("query", "decisions", who, "--file", str(file), "--json", "--limit", "2")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert json.loads(out.splitlines()[-1])["user_id"] == who
    code, out, _ = learner("query", "decisions", who, "--file", str(file))
    assert re.search(r"(<=|>) [\d.]+", out)


def test_thresholds_at_a_decision_and_at_a_time(file: Path) -> None:
    decision = str(value("learner.decisions")["decision_id"])
    code, out, _ = learner(
        "query", "thresholds", "--decision", decision, "--file", str(file), "--json"
    )
    assert code == 0
    by_now = ["--tree", "intervention_strategy", "--file", str(file), "--json"]
    code, out, _ = learner("query", "thresholds", *by_now)
    assert code == 0
    assert {json.loads(line)["author"] for line in out.splitlines()} == {"m.curie"}
    code, _, err = learner("query", "thresholds", "--file", str(file))
    assert code == 1
    assert "--decision" in err


@pytest.mark.parametrize("command", ["activity", "skills"])
def test_a_learner_over_time(file: Path, command: str) -> None:
    who = str(value(EVENTS)["user_id"])
    code, out, _ = learner("query", command, who, "--file", str(file))
    assert code == 0
    assert len(out.splitlines()) > 1
    code, out, err = learner("query", command, "nobody", "--file", str(file))
    assert (code, out) == (0, "")
    assert "nothing found" in err


def test_watched_then_and_falling_confidence(file: Path) -> None:
    viewed = next(
        r.value for r in stream_records() if r.value and r.value.get("type") == "content.viewed"
    )
    watched = ["query", "watched", viewed["content_id"], "--then", "quiz.submitted"]
    code, out, _ = learner(*watched, "--file", str(file), "--json")
    assert code == 0
    assert all(json.loads(line)["then_at"] for line in out.splitlines())
    code, _, _ = learner("query", "falling-confidence", "--file", str(file))
    assert code == 0


def test_labels_as_a_table_and_as_a_picture(file: Path, tmp_path: Path) -> None:
    code, out, _ = learner("query", "labels", "--file", str(file), "--json")
    assert code == 0
    given = [json.loads(line) for line in out.splitlines()]
    decisions = [r for r in stream_records() if r.topic == "learner.decisions"]
    assert sum(each["decisions"] for each in given) == len(decisions)
    picture = tmp_path / "labels.svg"
    code, _, err = learner("query", "labels", "--file", str(file), "--picture", str(picture))
    assert code == 0, err
    assert "<svg" in picture.read_text()
    code, _, err = learner(
        "query", "labels", "--file", str(file), "--picture", str(tmp_path / "labels.odd")
    )
    assert code == 1
    assert "labels.odd" in err


def test_who_is_nobody_has_no_decision(file: Path) -> None:
    code, out, err = learner("query", "decisions", "nobody", "--file", str(file))
    assert (code, out) == (0, "")
    assert "nothing found" in err


def test_a_missing_driver_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("queries.", "sinks.postgres"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    code, _, err = learner("query", "labels")
    assert code == 1
    assert err.strip() == "learner: this needs asyncpg: pip install 'learner-stream[stores]'"
