"""DuckDB's answers against pandas over the same records."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
import pytest

from config.seed_trees import seed_trees
from config.settings import DuckdbSettings
from queries import duckdb as queries
from queries.answers import FALLING, HOLDS, LabelsGiven
from schemas.contract import encode
from schemas.decision import decision_adapter
from schemas.event import BY_OTHERS
from schemas.example import example_adapter
from schemas.fields import TREE_IDS, TreeId
from schemas.topics import DECISIONS, EVENTS, EXAMPLES
from schemas.tree import Branch, TreeDocument
from sink_suite.stream_records import published_versions, stream_records
from sinks.contract import SinkRecord
from sinks.duckdb import DuckdbSink

NOBODY = "00000000-0000-0000-0000-000000000000"
TREES = [*seed_trees().values(), *published_versions()]


def of(topic: str) -> list[dict[str, Any]]:
    return [record.value for record in stream_records() if record.topic == topic and record.value]


def frame(topic: str, at: str) -> pd.DataFrame:
    table = pd.DataFrame(of(topic))
    table[at] = pd.to_datetime(table[at], format="ISO8601")
    return table


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    table = frame(EVENTS, "occurred_at")
    table["day"] = table["occurred_at"].dt.date
    table["course_id"] = table["course_id"].fillna("")
    return table.sort_values(["occurred_at", "event_id"])


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return frame(DECISIONS, "timestamp").sort_values(["timestamp", "decision_id"])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All records of the class, with the seed trees as the runner gives them."""
    file = tmp_path_factory.mktemp("queries") / "kept.duckdb"
    seeds = [
        SinkRecord(
            "tree.versions", 0, -1, "", t.model_dump(mode="json"), t.model_dump_json().encode()
        )
        for t in seed_trees().values()
    ]
    asyncio.run(write_to(file, [*seeds, *stream_records()]))
    return file


async def write_to(file: Path, records: list[SinkRecord]) -> None:
    sink = DuckdbSink(DuckdbSettings(file=file))
    await sink.setup()
    await sink.write(records)
    await sink.close()


def told(value: Any) -> Any:
    return None if pd.isna(value) else value


def test_the_steps_of_a_course(file: Path, events: pd.DataFrame) -> None:
    busiest = events.groupby(["user_id", "course_id"]).size().idxmax()
    mine = events[(events["user_id"] == busiest[0]) & (events["course_id"] == busiest[1])]
    names = ["type", "module_id", "topic_id", "question_id", "content_id", "score", "duration"]
    must = [
        (row["occurred_at"].to_pydatetime(), *(told(row[name]) for name in names))
        for row in mine.to_dict("records")
    ]
    assert len({step[1] for step in must}) > 3
    assert [tuple(step) for step in queries.course_steps(file, *busiest)] == must


def test_the_steps_outside_any_course(file: Path, events: pd.DataFrame) -> None:
    user_id = events[events["course_id"] == ""]["user_id"].iloc[0]
    mine = events[(events["user_id"] == user_id) & (events["course_id"] == "")]
    found = queries.course_steps(file, user_id.upper(), "")
    assert [step.type for step in found] == list(mine["type"])


def test_a_course_journey_is_the_latest_state(file: Path) -> None:
    states = {(state["user_id"], state["course_id"]): state for state in of("engagement")}
    assert len(states) > 12
    for key, state in states.items():
        assert queries.course_journey(file, *key) == state
    assert queries.course_journey(file, NOBODY, "economics") is None


def test_activity_across_courses(file: Path, events: pd.DataFrame) -> None:
    by_others = events["type"].isin(BY_OTHERS) | (events["message_direction"] == "system")
    assert by_others.any()
    for user_id, mine in events[~by_others].groupby("user_id"):
        answered = mine.assign(graded=mine["score"].where(mine["type"] == "quiz.submitted"))
        groups = answered.groupby(["day", "course_id"])
        must = [
            (
                day,
                course,
                len(g),
                g["duration"].sum(),
                g["graded"].count(),
                told(g["graded"].mean()),
            )
            for (day, course), g in groups
        ]
        found = queries.activity_across_courses(file, str(user_id))
        assert [row[:3] for row in found] == [row[:3] for row in must]
        for row, right in zip(found, must, strict=True):
            assert row[3:] == pytest.approx(right[3:])
    assert any(row.mean_score is None for row in found)
    assert any(row.mean_score is not None for row in found)


def test_skill_progress(file: Path, events: pd.DataFrame) -> None:
    answers = events[(events["type"] == "quiz.submitted") & events["skill_tag"].notna()]
    week = answers["day"].map(lambda day: day - timedelta(days=day.weekday()))
    user_id = answers.groupby("user_id")["skill_tag"].nunique().idxmax()
    mine = answers[answers["user_id"] == user_id]
    scores = mine.groupby([week, "skill_tag"])["score"].agg(["count", "mean"]).sort_index()
    found = queries.skill_progress(file, user_id)
    assert [(row.week, row.skill_tag, row.answers) for row in found] == [
        (*key, count) for key, count in scores["count"].items()
    ]
    assert [row.mean_score for row in found] == pytest.approx(list(scores["mean"]))
    assert len({row.week for row in found}) > 1


@pytest.mark.parametrize("then", ["quiz.submitted", "hint.requested", "content.viewed"])
@pytest.mark.parametrize("in_course", [False, True])
def test_watched_then(file: Path, events: pd.DataFrame, then: str, in_course: bool) -> None:
    views = events[events["type"] == "content.viewed"]
    content_id = views.groupby("content_id")["user_id"].nunique().idxmax()
    course_id = views[views["content_id"] == content_id]["course_id"].iloc[0] if in_course else None
    here = events[events["course_id"] == course_id] if in_course else events
    viewed = here[(here["type"] == "content.viewed") & (here["content_id"] == content_id)]
    must = []
    for user_id, watched_at in viewed.groupby("user_id")["occurred_at"].min().items():
        later = here[(here["user_id"] == user_id) & (here["occurred_at"] > watched_at)]
        deeds = later[later["type"] == then]["occurred_at"]
        if len(deeds):
            must.append((user_id, watched_at.to_pydatetime(), deeds.min().to_pydatetime()))
    found = queries.watched_then(file, content_id, then, course_id)
    assert [tuple(row) for row in found] == sorted(must, key=lambda row: (row[1], row[0]))
    assert found


async def test_falling_confidence(file: Path, tmp_path: Path) -> None:
    """The class has few of them, so some states are told to be so, just within and just beyond."""
    states = {(s["user_id"], s["course_id"]): s for s in of("engagement") if s["attempts"]}
    cases = [(FALLING, -HOLDS), (FALLING + 0.01, 0.0), (-0.3, 0.2), (-0.5, -HOLDS - 0.01)]
    records = []
    for number, state in enumerate(list(states.values())[:12]):
        trend, ahead = cases[number % 4]
        attempt = {**state["quiz_attempts"][0], "score": 0.5 + ahead}
        changed = {
            "confidence_score_trends": [{"topic_id": "t", "trend_value": trend - number / 1000}],
            "quiz_attempts": [attempt],
            "score_sum": 0.5 * state["attempts"],
        }
        records.append(state_record({**state, **changed}))
    other = tmp_path / "falling.duckdb"
    await write_to(other, records)
    must = []
    for record in records:
        value: Any = record.value
        trend = fmean(t["trend_value"] for t in value["confidence_score_trends"])
        recent = fmean(a["score"] for a in value["quiz_attempts"])
        mean = value["score_sum"] / value["attempts"]
        if trend <= FALLING and recent >= mean - HOLDS:
            must.append((value["user_id"], value["course_id"], trend, recent, mean))
    must.sort(key=lambda row: (row[2], *row[:2]))
    found = queries.falling_confidence(other)
    assert [tuple(row) for row in found] == must
    assert len(must) == 6
    course_id = must[0][1]
    in_course = queries.falling_confidence(other, course_id)
    assert [tuple(row) for row in in_course] == [row for row in must if row[1] == course_id]
    assert {row.user_id for row in queries.falling_confidence(file)} <= {key[0] for key in states}


def state_record(value: dict[str, Any]) -> SinkRecord:
    key = f"{value['user_id']}|{value['course_id']}"
    return SinkRecord("engagement", 0, value["offset"], key, value, encode(value))


@pytest.mark.parametrize("tree_id", [None, *TREE_IDS])
@pytest.mark.parametrize("whole", [True, False])
def test_labels_given(file: Path, log: pd.DataFrame, tree_id: TreeId | None, whole: bool) -> None:
    since, until = (None, None) if whole else log["timestamp"].quantile([0.2, 0.8])
    chosen = log if whole else log[(log["timestamp"] >= since) & (log["timestamp"] < until)]
    if tree_id:
        chosen = chosen[chosen["tree_id"] == tree_id]
    counted = chosen.groupby([chosen["timestamp"].dt.date, "tree_id", "decision_label"]).size()
    must = [LabelsGiven(*key, count) for key, count in counted.sort_index().items()]
    assert len(must) > 5
    assert queries.labels_given(file, since, until, tree_id) == must


def rules(tree: TreeDocument) -> list[tuple[Any, ...]]:
    made = (tree.tree_id, tree.version, tree.author, tree.reason, tree.created_at)
    return [
        (*made, node.rule_id, node.feature, node.threshold)
        for node in tree.nodes
        if isinstance(node, Branch)
    ]


def test_thresholds_at_a_decision(file: Path, log: pd.DataFrame) -> None:
    for decision in log.groupby("tree_id").head(3).to_dict("records"):
        tree = seed_trees()[decision["tree_id"]]
        found = queries.thresholds_at_decision(file, decision["decision_id"])
        assert [tuple(rule) for rule in found] == rules(tree)
    assert queries.thresholds_at_decision(file, NOBODY) == []
    assert queries.thresholds_at_decision(file, "no id") == []


def test_thresholds_in_force(file: Path) -> None:
    for tree in TREES:
        found = queries.thresholds_in_force(file, tree.tree_id, tree.created_at)
        of_tree = [t for t in TREES if t.tree_id == tree.tree_id]
        newest = max(
            (t for t in of_tree if t.created_at <= tree.created_at), key=lambda t: t.version
        )
        assert [tuple(rule) for rule in found] == rules(newest)
        before = tree.created_at - timedelta(microseconds=1)
        earlier = [t for t in of_tree if t.created_at <= before or t.version == 0]
        found = queries.thresholds_in_force(file, tree.tree_id, before)
        assert [tuple(rule) for rule in found] == rules(max(earlier, key=lambda t: t.version))


def test_versions(file: Path) -> None:
    assert queries.versions_of(file) == sorted(TREES, key=lambda t: (t.tree_id, t.version))


def test_decisions_come_back_as_they_were(file: Path, log: pd.DataFrame) -> None:
    raws = {
        r.value["decision_id"]: r.raw for r in stream_records() if r.topic == DECISIONS and r.value
    }
    for user_id, mine in log.groupby("user_id"):
        found = list(queries.decisions_of(file, str(user_id)))
        assert [encode(one) for one in found] == [raws[name] for name in mine["decision_id"]]
    assert list(queries.decisions_of(file, "nobody")) == []
    for tree_id in TREE_IDS:
        names = [one.decision_id for one in queries.decisions(file, tree_id)]
        assert names == list(log[log["tree_id"] == tree_id]["decision_id"])


def test_the_latest_decisions(file: Path, log: pd.DataFrame) -> None:
    for tree_id in TREE_IDS:
        latest = log[log["tree_id"] == tree_id].groupby(["user_id", "course_id"]).tail(1)
        must = latest.sort_values(["user_id", "course_id"])["decision_id"]
        found = list(queries.latest_decisions(file, tree_id))
        assert [one.decision_id for one in found] == list(must)
        assert all(decision_adapter.validate_python(one) == one for one in found)


def test_examples_come_back_as_they_were(file: Path) -> None:
    for tree_id in TREE_IDS:
        must = [e for e in of(EXAMPLES) if e["tree_id"] == tree_id]
        must.sort(key=lambda e: (datetime.fromisoformat(e["labelled_at"]), e["example_id"]))
        assert len(must) > 50
        assert list(queries.examples(file, tree_id)) == [
            example_adapter.validate_python(example) for example in must
        ]


def test_who_was_decided_about_most(file: Path, log: pd.DataFrame) -> None:
    counts = log.groupby("user_id").size()
    assert queries.most_decided(file) == min(counts[counts == counts.max()].index)
