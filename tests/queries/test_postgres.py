"""PostgreSQL's answers against pandas over the same records."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pandas as pd
import pytest

from config.seed_trees import seed_trees
from queries.answers import LabelsGiven, ThresholdInForce
from queries.postgres import (
    LearnerSummary,
    decisions_of,
    labels_given,
    summary_of,
    thresholds_at_decision,
    thresholds_in_force,
)
from schemas.decision import decision_adapter
from schemas.fields import TREE_IDS, TreeId
from schemas.tree import Branch, TreeDocument
from servers.postgres import new_database
from servers.store_server import StoreServer
from sink_suite.stream_records import published_versions, stream_records
from sinks.contract import SinkRecord
from sinks.postgres import write_batch
from sinks.postgres_connection import connected
from sinks.postgres_schema import upgrade

TREES = [*seed_trees().values(), *published_versions()]
NOBODY = "00000000-0000-0000-0000-000000000000"


def records() -> list[SinkRecord]:
    """All that PostgreSQL takes, with the seed trees as the runner gives them."""
    seeds = [
        SinkRecord("tree.versions", 0, 0, f"{tree.tree_id}:0", tree.model_dump(mode="json"), b"")
        for tree in seed_trees().values()
    ]
    wanted = ("learner.decisions", "behavior", "tree.versions")
    return [*seeds, *(record for record in stream_records() if record.topic in wanted)]


def frame(topic: str) -> pd.DataFrame:
    return pd.DataFrame([record.value for record in records() if record.topic == topic])


@pytest.fixture
async def database(postgres_server: StoreServer) -> AsyncIterator[asyncpg.Connection]:
    async with new_database(postgres_server) as settings, connected(settings) as connection:
        await upgrade(connection)
        await write_batch(connection, records())
        yield connection


def rules(tree: TreeDocument) -> list[ThresholdInForce]:
    return [
        ThresholdInForce(
            tree.tree_id,
            tree.version,
            tree.author,
            tree.reason,
            tree.created_at,
            node.rule_id,
            node.feature,
            node.threshold,
        )
        for node in tree.nodes
        if isinstance(node, Branch)
    ]


@pytest.mark.parametrize("tree_id", [None, *TREE_IDS])
async def test_how_often_each_label_was_given(
    database: asyncpg.Connection, tree_id: TreeId | None
) -> None:
    log = frame("learner.decisions")
    log["timestamp"] = pd.to_datetime(log["timestamp"], format="ISO8601")
    since, until = log["timestamp"].quantile([0.2, 0.8])
    chosen = log[(log["timestamp"] >= since) & (log["timestamp"] < until)]
    if tree_id:
        chosen = chosen[chosen["tree_id"] == tree_id]
    counted = chosen.groupby([chosen["timestamp"].dt.date, "tree_id", "decision_label"]).size()
    must = [
        LabelsGiven(day, tree, label, int(count))
        for (day, tree, label), count in counted.sort_index().items()
    ]
    assert len(must) > 5
    found = await labels_given(database, since.to_pydatetime(), until.to_pydatetime(), tree_id)
    assert found == must


async def test_a_day_is_a_utc_day_whatever_the_session_says(database: asyncpg.Connection) -> None:
    await database.execute("SET timezone = 'Pacific/Auckland'")
    whole = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    found = {label.day for label in await labels_given(database, *whole)}
    assert found == {date.fromisoformat(t[:10]) for t in frame("learner.decisions")["timestamp"]}


async def test_the_thresholds_in_force_at_each_decision(database: asyncpg.Connection) -> None:
    log = frame("learner.decisions").groupby("tree_id").head(5)
    assert len(log) == 10
    for decision in log.to_dict("records"):
        (tree,) = (
            tree
            for tree in TREES
            if (tree.tree_id, tree.version) == (decision["tree_id"], decision["decision_version"])
        )
        found = await thresholds_at_decision(database, decision["decision_id"])
        assert found == rules(tree)
        by_rule = {rule.rule_id: rule.threshold for rule in found}
        asked = decision["thresholds_at_time"]["path"]
        assert asked
        assert all(by_rule[step["rule_id"]] == step["threshold"] for step in asked)


async def test_a_later_version_changes_no_earlier_decision(database: asyncpg.Connection) -> None:
    """The same learner's decision under version 1: its thresholds, not those of 0."""
    first: Any = next(r for r in records() if r.topic == "learner.decisions")
    later = {**first.value, "decision_id": NOBODY, "decision_version": 1}
    await write_batch(database, [first._replace(value=later)])
    versions = {0: first.value["decision_id"], 1: NOBODY}
    for version, decision_id in versions.items():
        found = await thresholds_at_decision(database, decision_id)
        assert {rule.version for rule in found} == {version}


@pytest.mark.parametrize("tree_id", TREE_IDS)
async def test_the_thresholds_in_force_at_a_time(
    database: asyncpg.Connection, tree_id: TreeId
) -> None:
    trees = [tree for tree in TREES if tree.tree_id == tree_id]
    times = {tree.created_at + timedelta(seconds=s) for tree in trees for s in (-1, 0, 1)}
    for at in times:
        # Version 0 is in force from the beginning, whenever it was written.
        made = [tree for tree in trees if tree.created_at <= at or tree.version == 0]
        must = rules(max(made, key=lambda tree: tree.version))
        assert await thresholds_in_force(database, tree_id, at) == must


async def test_the_decisions_of_a_learner_with_reasons(database: asyncpg.Connection) -> None:
    log = frame("learner.decisions")
    for user_id, theirs in log.groupby("user_id"):
        ordered = theirs.sort_values(["timestamp", "decision_id"])
        must = [
            decision_adapter.validate_python(decision) for decision in ordered.to_dict("records")
        ]
        assert await decisions_of(database, str(user_id), 1000) == must
        assert await decisions_of(database, str(user_id), 3) == must[-3:]


async def test_the_summary_of_a_learner(database: asyncpg.Connection) -> None:
    latest = frame("behavior").sort_values("offset").groupby("user_id").tail(1)
    assert len(latest) == 12
    for row in latest.to_dict("records"):
        must = LearnerSummary(
            row["user_id"],
            row["total_courses"],
            row["avg_score"],
            row["dominant_format"] if isinstance(row["dominant_format"], str) else None,
            date.fromisoformat(row["last_activity_date"]),
        )
        assert await summary_of(database, row["user_id"]) == must


@pytest.mark.parametrize("nobody", [NOBODY, "nobody", "'; DROP TABLE decisions; --"])
async def test_who_is_nobody_has_nothing(database: asyncpg.Connection, nobody: str) -> None:
    assert await decisions_of(database, nobody) == []
    assert await summary_of(database, nobody) is None
    assert await thresholds_at_decision(database, nobody) == []


async def test_labels_over_time_are_read_off_an_index_alone(database: asyncpg.Connection) -> None:
    await database.execute("VACUUM ANALYZE decisions")
    await database.execute("SET enable_seqscan = off")
    plan = await database.fetch(
        "EXPLAIN SELECT tree_id, decision_label, count(*) FROM decisions "
        "WHERE \"timestamp\" >= '2024-01-01' GROUP BY 1, 2"
    )
    assert any("Index Only Scan using decisions_over_time" in line[0] for line in plan)
