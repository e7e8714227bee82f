"""ClickHouse's answers against pandas over the same events, each of them written twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest
from clickhouse_driver import Client

import queries.clickhouse as queries
import sinks.clickhouse
from config.settings import ClickhouseSettings
from queries.answers import WatchedThen
from schemas.errors import StoreUnavailable
from servers.clickhouse import drop_database, new_database
from servers.clickhouse_in_process import InProcessClient
from servers.kafka import free_ports
from servers.store_server import StoreServer
from sink_suite.stream_records import stream_records
from sinks.clickhouse import ClickhouseSink, connect
from sinks.clickhouse_tables import is_learners

EVER = date(1970, 1, 1), date(2100, 1, 1)
NOBODY = "00000000-0000-0000-0000-000000000000"

RECORDS = [record for record in stream_records() if record.topic == "learner.events"]


@pytest.fixture(scope="module", params=["a server", "the newest, in process"])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "a server":
        settings = new_database(request.getfixturevalue("clickhouse_server"))
        asyncio.run(write_twice(settings))
        with connect(settings) as connected:
            yield connected
        drop_database(settings)
        return
    with pytest.MonkeyPatch.context() as patch, InProcessClient() as in_process:
        patch.setattr(sinks.clickhouse, "connect", lambda _: in_process)
        asyncio.run(write_twice(ClickhouseSettings(retention_days=36_500)))
        yield in_process


async def write_twice(settings: ClickhouseSettings) -> None:
    sink = ClickhouseSink(settings)
    await sink.setup()
    await sink.write(RECORDS)
    await sink.write(RECORDS[::-1])
    await sink.close()


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    """In the order of the times, of equal ones in that of the log."""
    frame = pd.DataFrame([record.value for record in RECORDS])
    frame["course_id"] = frame["course_id"].fillna("")
    frame["occurred_at"] = pd.to_datetime(frame["occurred_at"], utc=True)
    frame["day"] = frame["occurred_at"].dt.date
    return frame.sort_values("occurred_at", kind="stable")


def told(value: Any) -> Any:
    return None if pd.isna(value) else value


def test_the_class_was_written_twice(client: Client) -> None:
    (count,) = client.execute("SELECT count() FROM engagement_log")[0]
    assert count > len(RECORDS)


def test_the_steps_of_every_course(client: Client, events: pd.DataFrame) -> None:
    names = ["type", "module_id", "topic_id", "question_id", "content_id", "score", "duration"]
    seen = set()
    for (user_id, course_id), mine in events.groupby(["user_id", "course_id"]):
        must = [
            (row["occurred_at"].to_pydatetime(), *(told(row[name]) for name in names))
            for row in mine.to_dict("records")
        ]
        found = queries.course_steps(client, user_id.upper(), course_id)
        assert [tuple(step) for step in found] == must
        seen.add(course_id)
    assert "" in seen
    assert len(seen) > 2


def test_activity_across_courses(client: Client, events: pd.DataFrame) -> None:
    found = {
        user_id: queries.activity_across_courses(client, user_id, *EVER)
        for user_id in events["user_id"].unique()
    }
    days = [day for mine in found.values() for day in mine]
    theirs = [is_learners(record.value or {}) for record in RECORDS]
    groups = events[pd.Series(theirs).reindex(events.index)].groupby(
        ["user_id", "day", "course_id"]
    )
    assert [(user, day.day, day.course_id) for user in found for day in found[user]] == [
        (user, *key) for user in found for (whose, *key), _ in groups if whose == user
    ]
    must = [mine for user in found for (whose, *_), mine in groups if whose == user]
    assert [day.events for day in days] == [len(mine) for mine in must]
    assert [day.seconds for day in days] == pytest.approx([m["duration"].sum() for m in must])
    assert [day.answers for day in days] == [mine["score"].count() for mine in must]
    for day, mine in zip(days, must, strict=True):
        assert day.mean_score == pytest.approx(told(mine["score"].mean()))
    assert {day.mean_score is None for day in days} == {True, False}


def test_activity_between_two_days(client: Client, events: pd.DataFrame) -> None:
    user_id = events["user_id"].mode()[0]
    whole = queries.activity_across_courses(client, user_id, *EVER)
    since, until = whole[2].day, whole[-2].day
    some = queries.activity_across_courses(client, user_id, since, until)
    assert some == [day for day in whole if since <= day.day < until]
    assert 0 < len(some) < len(whole)


def test_skill_progress(client: Client, events: pd.DataFrame) -> None:
    answers = events[(events["type"] == "quiz.submitted") & events["skill_tag"].notna()]
    week = answers["day"].map(lambda day: day - timedelta(days=day.weekday()))
    user_id = answers.groupby("user_id")["skill_tag"].nunique().idxmax()
    mine = answers[answers["user_id"] == user_id]
    scores = mine.groupby([week, "skill_tag"])["score"].agg(["count", "mean"]).sort_index()
    found = queries.skill_progress(client, user_id)
    assert [(row.week, row.skill_tag, row.answers) for row in found] == [
        (*key, count) for key, count in scores["count"].items()
    ]
    assert [row.mean_score for row in found] == pytest.approx(list(scores["mean"]))
    assert len({row.week for row in found}) > 1


@pytest.mark.parametrize("then", ["quiz.submitted", "hint.requested", "content.viewed"])
@pytest.mark.parametrize("in_course", [False, True])
def test_watched_then(client: Client, events: pd.DataFrame, then: str, in_course: bool) -> None:
    contents = events["content_id"].value_counts().index
    for content_id in contents:
        views = events[(events["type"] == "content.viewed") & (events["content_id"] == content_id)]
        course_id = views["course_id"].iloc[0] if in_course else None
        here = events[events["course_id"] == course_id] if in_course else events
        must = []
        for user_id, watched_at in views.groupby("user_id")["occurred_at"].min().items():
            later = here[(here["user_id"] == user_id) & (here["occurred_at"] > watched_at)]
            deeds = later[later["type"] == then]["occurred_at"]
            if len(deeds):
                at = watched_at.to_pydatetime(), deeds.min().to_pydatetime()
                must.append(WatchedThen(user_id, *at))
        found = queries.watched_then(client, content_id, then, course_id)
        assert found == sorted(must, key=lambda answer: (answer.watched_at, answer.user_id))
        assert found or content_id != contents[0]


def test_watched_in_another_course_is_nothing(client: Client, events: pd.DataFrame) -> None:
    content_id = events["content_id"].mode()[0]
    assert queries.watched_then(client, content_id, "quiz.submitted")
    assert queries.watched_then(client, content_id, "quiz.submitted", "no such course") == []


def test_events_by_type(client: Client, events: pd.DataFrame) -> None:
    counts = events["type"].value_counts().to_dict()
    assert queries.events_by_type(client) == counts


@pytest.mark.parametrize("nobody", [NOBODY, "no uuid", "'; DROP TABLE events --"])
def test_nobody_has_nothing(client: Client, nobody: str) -> None:
    assert queries.course_steps(client, nobody, "x") == []
    assert queries.activity_across_courses(client, nobody, *EVER) == []
    assert queries.skill_progress(client, nobody) == []


def test_what_is_asked_for_is_no_sql(client: Client, events: pd.DataFrame) -> None:
    asked = "x' OR '1' = '1"
    assert queries.course_steps(client, events["user_id"].iloc[0], asked) == []
    assert queries.watched_then(client, asked, "quiz.submitted") == []
    assert queries.watched_then(client, "\\", asked, "%(user)s") == []


def test_a_server_that_is_not_there_is_unavailable() -> None:
    (port,) = free_ports(1)
    nowhere = ClickhouseSettings(url=f"clickhouse://default@127.0.0.1:{port}/default")
    with connect(nowhere) as client, pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port}"):
        queries.events_by_type(client)


def test_a_database_without_our_tables_is_unavailable(clickhouse_server: StoreServer) -> None:
    empty = ClickhouseSettings(url=clickhouse_server.url, password=clickhouse_server.password)
    with connect(empty) as client, pytest.raises(StoreUnavailable, match="events"):
        queries.events_by_type(client)
