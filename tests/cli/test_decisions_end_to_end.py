"""From events to decisions that are verified and explained, from each place they are kept in."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from agents.sink import seed_records
from agents.sink_records import made_record
from agents.topics import DECISIONS, TREE_VERSIONS
from cli.main import app
from config.seed_trees import seed_trees
from config.settings import DuckdbSettings, Settings
from sinks.duckdb import RETRAINING_TOPICS, DuckdbSink

LEARNER = "0b5b6cf2-6a59-4d3b-9e6c-1e2d3f4a5b6c"
OTHER = "7d1c0a52-0f6e-4c1b-8b57-92a4f0f0a111"


def an_event(number: int, user_id: str, **fields: object) -> str:
    event = {
        "event_id": f"11111111-1111-4111-8111-{number:012d}",
        "user_id": user_id,
        "course_id": "algebra",
        "occurred_at": f"2026-01-01T10:{number:02d}:00Z",
    }
    return json.dumps(event | fields)


EVENTS = [
    an_event(1, LEARNER, type="course.enrolled"),
    an_event(2, OTHER, type="course.enrolled"),
    *(
        an_event(3 + n, LEARNER, type="quiz.submitted", question_id=f"q{n}", score=1.0)
        for n in range(6)
    ),
    '{"not": "an event"}',
    an_event(1, LEARNER, type="course.enrolled"),
]


def learner(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def decisions(tmp_path: Path) -> Path:
    """What replay decides upon `EVENTS`."""
    events, decisions = tmp_path / "events.jsonl", tmp_path / "decisions.jsonl"
    events.write_text("\n".join(EVENTS) + "\n")
    done = learner("replay", events)
    assert done.exit_code == 0, done.output
    assert "10 events: 1 dead, 8 folded, 1 repeated" in done.stderr
    decisions.write_text(done.stdout)
    return decisions


def test_decisions_are_confirmed(decisions: Path) -> None:
    done = learner("decisions", "verify", decisions)
    assert done.exit_code == 0, done.output
    written = len(decisions.read_text().splitlines())
    assert json.loads(done.stdout) == {"confirmed": written, "wrong": 0, "unchecked": 0}


def test_a_changed_decision_is_not_confirmed(decisions: Path) -> None:
    lines = decisions.read_text().splitlines()
    record = json.loads(lines[1])
    record["decision_label"] = (
        "Challenge" if record["decision_label"] != "Challenge" else "Outreach"
    )
    lines[1] = json.dumps(record)
    decisions.write_text("\n".join(lines))
    done = learner("decisions", "verify", decisions)
    assert done.exit_code == 1
    fault, count = map(json.loads, done.stdout.splitlines())
    assert fault["line"] == 2
    assert any("decision_label" in difference for difference in fault["differences"])
    assert count == {"confirmed": len(lines) - 1, "wrong": 1, "unchecked": 0}


def test_a_decision_by_a_version_that_nobody_gave_says_what_to_give(decisions: Path) -> None:
    record = json.loads(decisions.read_text().splitlines()[0])
    decisions.write_text(json.dumps(record | {"decision_version": 5}))
    done = learner("decisions", "verify", decisions)
    assert done.exit_code == 1
    assert "version 5 is not known here" in done.stdout
    assert "--trees" in done.stdout


def latest_of(decisions: Path) -> dict[str, Any]:
    """The learner's last decision of each tree."""
    records = map(json.loads, decisions.read_text().splitlines())
    return {record["tree_id"]: record for record in records if record["user_id"] == LEARNER}


def test_the_latest_decisions_are_explained_from_a_file(decisions: Path) -> None:
    done = learner("explain", LEARNER.upper(), "--decisions", decisions)
    assert done.exit_code == 0, done.output
    for record in latest_of(decisions).values():
        assert record["decision_label"] in done.stdout
    assert "algebra" in done.stdout
    assert OTHER not in done.stdout


def test_the_records_themselves_come_as_json(decisions: Path) -> None:
    done = learner("explain", LEARNER, "--decisions", decisions, "--json")
    found = {line["tree_id"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert found == latest_of(decisions)


def test_a_learner_that_nobody_knows_is_said_to_be_unknown(decisions: Path) -> None:
    done = learner("explain", "0" * 8, "--decisions", decisions)
    assert done.exit_code == 1
    assert "nothing was decided about 00000000" in done.stderr


async def keep(decisions: list[bytes], file: Path) -> None:
    sink = DuckdbSink(DuckdbSettings(file=file), RETRAINING_TOPICS)
    await sink.setup()
    made = [made_record(DECISIONS, 0, n, None, line) for n, line in enumerate(decisions)]
    await sink.write([*seed_records(), *made])
    await sink.close()


def test_the_embedded_file_gives_the_same_answer(decisions: Path, tmp_path: Path) -> None:
    asyncio.run(keep(decisions.read_bytes().splitlines(), tmp_path / "kept.duckdb"))
    done = learner("explain", LEARNER, "--file", tmp_path / "kept.duckdb")
    assert done.exit_code == 0, done.output
    assert done.stdout == learner("explain", LEARNER, "--decisions", decisions).stdout


def test_kafka_gives_the_same_answer(decisions: Path, fresh_kafka: Settings) -> None:
    kafka = fresh_kafka.kafka.bootstrap_servers
    producer = Producer({"bootstrap.servers": kafka})
    for line in decisions.read_bytes().splitlines():
        producer.produce(DECISIONS, line, json.loads(line)["user_id"], partition=2)
    newer = seed_trees()["primary_classification"].model_copy(update={"version": 1})
    producer.produce(TREE_VERSIONS, newer.model_dump_json(), newer.tree_id)
    assert producer.flush(10) == 0
    done = learner("explain", LEARNER, "--kafka", kafka)
    assert done.exit_code == 0, done.output
    assert done.stdout == learner("explain", LEARNER, "--decisions", decisions).stdout
    listed = [
        json.loads(x)
        for x in learner("tree", "list", "--json", "--kafka", kafka).stdout.splitlines()
    ]
    assert [(t["tree_id"], t["version"]) for t in listed] == [
        ("intervention_strategy", 0),
        ("primary_classification", 0),
        ("primary_classification", 1),
    ]
