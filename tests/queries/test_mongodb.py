"""MongoDB's answers against pandas over the same records."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import orjson
import pandas as pd
import pytest
from pymongo.asynchronous.database import AsyncDatabase

from audit.rows import plain
from config.settings import MongodbSettings
from queries.answers import FALLING, HOLDS, FallingConfidence
from queries.mongodb import (
    course_journey,
    falling_confidence,
    journeys_of,
    learner_across_courses,
)
from schemas.errors import StoreUnavailable
from servers.kafka import free_ports
from servers.mongodb import new_database
from servers.store_server import StoreServer
from sink_suite.stream_records import stream_records
from sinks.contract import SinkRecord
from sinks.mongodb import MongodbSink, connect

Database = AsyncDatabase[dict[str, Any]]
NOBODY = "00000000-0000-0000-0000-000000000000"


def by_hand(name: str, scores: list[float], mean: float, trends: list[float]) -> SinkRecord:
    """A learner in "edges" with these kept scores, mean of all answers, and trends."""
    known = next(r.value for r in stream_records() if r.topic == "engagement" and of_interest(r))
    assert known is not None
    user_id = str(uuid.uuid5(uuid.NAMESPACE_OID, name))
    value = {
        **known,
        "user_id": user_id,
        "course_id": "edges",
        "quiz_attempts": [{**known["quiz_attempts"][0], "score": score} for score in scores],
        "attempts": 40,
        "score_sum": 40 * mean,
        "confidence_score_trends": [
            {"topic_id": f"{n}.t", "trend_value": trend} for n, trend in enumerate(trends)
        ],
        "topic_scores": {"1.t": 50.0, "$t": 75.0},
    }
    return SinkRecord("engagement", 0, 0, f"{user_id}|edges", value, orjson.dumps(value))


def of_interest(record: SinkRecord) -> bool:
    return bool(record.value and record.value["quiz_attempts"])


EDGES = {
    "just falling": by_hand("just falling", [0.5], 0.5, [-0.02, -0.02]),
    "not quite falling": by_hand("not quite falling", [0.5], 0.5, [-0.02, -0.019]),
    "falls in one, rises in another": by_hand("one of two", [0.5], 0.5, [-0.5, 0.5]),
    "falls more than it rises": by_hand("more", [0.5], 0.5, [-0.5, 0.25]),
    "scores rise": by_hand("rise", [1.0, 0.5], 0.5, [-0.1]),
    "scores just hold": by_hand("hold", [0.5, 0.25], 0.42, [-0.1]),
    "scores fall too": by_hand("fall", [0.25], 0.31, [-0.1]),
    "no trend": by_hand("no trend", [0.5], 0.5, []),
    "no answer kept": by_hand("no answer", [], 0.5, [-0.1]),
}
FOUND = {
    "just falling",
    "falls more than it rises",
    "scores rise",
    "scores just hold",
}


def states(topic: str) -> pd.DataFrame:
    """The latest state of each key, by pandas."""
    told = [*stream_records(), *EDGES.values()]
    frame = pd.DataFrame(
        {"key": record.key, "value": record.value} for record in told if record.topic == topic
    )
    frame["offset"] = frame["value"].map(lambda value: value["offset"])
    latest = frame.loc[frame.groupby("key")["offset"].idxmax(), "value"]
    return pd.DataFrame(latest.tolist()).sort_values(["user_id", "course_id"])


@pytest.fixture(scope="module")
def written(mongodb_server: StoreServer) -> Any:
    with new_database(mongodb_server) as settings:
        yield settings


@pytest.fixture
async def database(written: MongodbSettings) -> AsyncIterator[Database]:
    """Filled once: writing the same again changes nothing."""
    sink = MongodbSink(written)
    await sink.setup()
    records = [*stream_records(), *EDGES.values()]
    await sink.write([record for record in records if record.topic in MongodbSink.topics])
    await sink.close()
    database = connect(written)
    yield database
    await database.client.close()


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Its rows as they were told (the class's times have whole seconds)."""
    return [plain(row) for row in frame.astype(object).to_dict("records")]


async def test_a_learner_s_journey_through_a_course(database: Database) -> None:
    frame = states("engagement")
    assert len(frame) > 30
    for row in rows(frame):
        found = await course_journey(database, row["user_id"].upper(), row["course_id"])
        assert plain(found) == row
    assert found is not None
    assert isinstance(found["last_activity_at"], datetime)
    assert await course_journey(database, NOBODY, "algebra") is None


async def test_all_journeys_of_a_learner(database: Database) -> None:
    frame = states("engagement")
    several = frame.groupby("user_id").size().idxmax()
    assert (frame["user_id"] == several).sum() > 2
    found = await journeys_of(database, str(several))
    assert [plain(one) for one in found] == rows(frame[frame["user_id"] == several])
    assert await journeys_of(database, NOBODY) == []


async def test_a_learner_across_courses(database: Database) -> None:
    frame = states("behavior")
    assert len(frame) == 12
    for row in rows(frame):
        assert plain(await learner_across_courses(database, row["user_id"])) == row
    assert await learner_across_courses(database, NOBODY) is None


@pytest.mark.parametrize("course_id", [None, "biology", "edges", "no such course"])
async def test_whose_confidence_falls_while_scores_hold(
    database: Database, course_id: str | None
) -> None:
    frame = states("engagement")
    if course_id is not None:
        frame = frame[frame["course_id"] == course_id]
    mean = {
        "confidence_trend": ("confidence_score_trends", "trend_value"),
        "recent_score": ("quiz_attempts", "score"),
    }
    for name, (column, field) in mean.items():
        parts = frame[column].explode().dropna()
        frame[name] = parts.map(lambda part, field=field: part[field]).groupby(level=0).mean()
    frame["objective_score"] = frame["score_sum"] / frame["attempts"].where(frame["attempts"] > 0)
    falls = frame["confidence_trend"] <= FALLING
    holds = frame["recent_score"] >= frame["objective_score"] - HOLDS
    wanted = frame[falls & holds].sort_values(["confidence_trend", "user_id", "course_id"])

    found = await falling_confidence(database, course_id)
    assert [one[:2] for one in found] == list(
        wanted[["user_id", "course_id"]].itertuples(index=False, name=None)
    )
    for one, row in zip(found, wanted[list(FallingConfidence._fields)].itertuples(), strict=True):
        assert one[2:] == pytest.approx(row[3:])
    if course_id is None:
        assert len(FOUND) < len(found) < len(frame)


async def test_edges_worked_by_hand(database: Database) -> None:
    found = {one.user_id for one in await falling_confidence(database, "edges")}
    assert {name for name, record in EDGES.items() if record.key[:36] in found} == FOUND


async def test_nobody_answers() -> None:
    (closed,) = free_ports(1)
    nowhere = connect(
        MongodbSettings(url=f"mongodb://127.0.0.1:{closed}/learner", timeout_seconds=0.3)
    )
    for question in (
        course_journey(nowhere, NOBODY, "algebra"),
        journeys_of(nowhere, NOBODY),
        learner_across_courses(nowhere, NOBODY),
        falling_confidence(nowhere),
    ):
        with pytest.raises(StoreUnavailable, match=rf"127\.0\.0\.1:{closed}"):
            await question
    await nowhere.client.close()
