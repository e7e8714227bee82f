"""The interaction log's answers against pandas over the same events."""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pandas as pd
import pytest
from elasticsearch import AsyncElasticsearch

from config.settings import ElasticsearchSettings
from queries import elasticsearch as asked
from queries.answers import WatchedThen
from queries.elasticsearch import Then, interactions_of, watched_then
from schemas.errors import StoreUnavailable
from schemas.topics import EVENTS
from servers.store_server import StoreServer
from sink_suite.stream_records import stream_records
from sinks import elasticsearch_client
from sinks.contract import SinkRecord
from sinks.elasticsearch import ElasticsearchSink
from sinks.elasticsearch_client import connect
from sinks.elasticsearch_indices import CHAT_MESSAGE, INDICES

Event = dict[str, Any]
START = datetime(2026, 1, 31, 9, tzinfo=UTC)
CLASS = [r.value for r in stream_records() if r.topic == EVENTS and r.value is not None]
LOGGED = [event for event in CLASS if event["type"] != CHAT_MESSAGE]
QUIZ = Then("quiz.submitted")


@pytest.fixture
async def log(elasticsearch_server: StoreServer) -> AsyncIterator[Log]:
    """An index of the test's own, deleted after it."""
    name = f"q{uuid.uuid4().hex[:12]}"
    settings = ElasticsearchSettings(
        url=elasticsearch_server.url, index=name, conversations=f"{name}-chat", timeout_seconds=20
    )
    sink = ElasticsearchSink(settings)
    await sink.setup()
    async with connect(settings) as client:
        yield Log(sink, client, settings.index)
        for index in INDICES:
            await client.indices.delete(index=f"{index.alias(settings)}-1")
    await sink.close()


class Log:
    """Events in Elasticsearch, and the same in a frame."""

    def __init__(self, sink: ElasticsearchSink, client: AsyncElasticsearch, index: str) -> None:
        self._sink = sink
        self.client, self.index = client, index
        self.frame = pd.DataFrame()

    async def fill(self, events: list[Event]) -> None:
        records = [
            SinkRecord(EVENTS, 0, offset, event["user_id"], event, orjson.dumps(event))
            for offset, event in enumerate(events)
        ]
        await self._sink.write(records)
        await self.client.indices.refresh(index=self.index)
        self.frame = pd.DataFrame([dict.fromkeys(Then._fields), *events])[1:]
        self.frame["at"] = pd.to_datetime(self.frame["occurred_at"], utc=True, format="ISO8601")

    async def watched_then(self, content: str, then: Then, course: str | None = None) -> Any:
        return await watched_then(self.client, self.index, content, then, course)


def by_pandas(
    frame: pd.DataFrame, content: str, then: Then, course: str | None = None
) -> list[WatchedThen]:
    if course is not None:
        frame = frame[frame["course_id"] == course]
    viewings = frame[(frame["type"] == "content.viewed") & (frame["content_id"] == content)]
    watched = viewings.groupby("user_id")["at"].min().rename("watched_at").reset_index()
    deeds = frame
    for name, value in then._asdict().items():
        if value is not None:
            deeds = deeds[deeds[name] == value]
    pairs = watched.merge(deeds[["user_id", "at"]], on="user_id")
    pairs = pairs[pairs["at"] > pairs["watched_at"]]
    first = pairs.groupby(["user_id", "watched_at"])["at"].min().reset_index()
    first = first.sort_values(["watched_at", "user_id"])
    return [
        WatchedThen(user_id, watched_at.to_pydatetime(), at.to_pydatetime())
        for user_id, watched_at, at in first.itertuples(index=False)
    ]


def event(user: int, microsecond: int, type_: str, **fields: Any) -> Event:
    at = START + timedelta(microseconds=microsecond)
    return {
        "type": type_,
        "event_id": str(uuid.uuid4()),
        "user_id": str(uuid.UUID(int=user)),
        "course_id": "algebra",
        "occurred_at": at.isoformat().replace("+00:00", "Z"),
        "source": "lms",
        **fields,
    }


def viewing(user: int, microsecond: int, content: str = "x", **fields: Any) -> Event:
    fields |= {"content_id": content, "content_type": "video"}
    return event(user, microsecond, "content.viewed", **fields)


def quiz(user: int, microsecond: int, question: str = "q", **fields: Any) -> Event:
    fields |= {"question_id": question, "score": 0.5}
    return event(user, microsecond, "quiz.submitted", **fields)


def at(microsecond: int) -> datetime:
    return START + timedelta(microseconds=microsecond)


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elasticsearch_client, "_PAGE", 7)
    monkeypatch.setattr(asked, "_USERS", 3)


async def test_a_class_that_watched_then_answered(log: Log) -> None:
    await log.fill(LOGGED)
    contents = sorted(set(log.frame["content_id"].dropna()))[::3]
    answers = 0
    for content in contents:
        topic = content.rsplit("-", 1)[0]
        thens = (QUIZ, Then("quiz.submitted", topic_id=topic), Then("content.viewed"))
        for then in thens:
            found = await log.watched_then(content, then)
            assert found == by_pandas(log.frame, content, then), (content, then)
            answers += len(found)
    assert len(contents) > 5
    assert answers > 20


@pytest.mark.usefixtures("short_pages")
async def test_a_class_read_in_short_pages(log: Log) -> None:
    await log.fill([{**e, "content_id": "x"} if "content_id" in e else e for e in LOGGED])
    for then in (QUIZ, Then("content.viewed"), Then("session.started"), Then("feedback.given")):
        for course in (None, "algebra"):
            must = by_pandas(log.frame, "x", then, course)
            assert await log.watched_then("x", then, course) == must
    assert len(by_pandas(log.frame, "x", QUIZ)) > 6


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.usefixtures("short_pages")
async def test_within_a_few_microseconds(log: Log, seed: int) -> None:
    """Two milliseconds of a crowd: ties at one instant, and orders that a millisecond hides."""
    chance = random.Random(seed)
    events = []
    for _ in range(250):
        user, when = chance.randrange(25), 990 + chance.randrange(20)
        course = chance.choice(["algebra", "biology"])
        if chance.random() < 0.3:
            events.append(viewing(user, when, chance.choice("xz"), course_id=course))
        else:
            topic = chance.choice(["t", "u"])
            events.append(quiz(user, when, chance.choice("qr"), course_id=course, topic_id=topic))
    await log.fill(events)
    for content in "xz":
        for then in (
            QUIZ,
            Then("quiz.submitted", question_id="q", topic_id="t"),
            Then("content.viewed", content_id="x"),
        ):
            for course in (None, "algebra"):
                must = by_pandas(log.frame, content, then, course)
                assert must
                assert await log.watched_then(content, then, course) == must


async def test_only_before_at_the_same_instant_and_a_microsecond_later(log: Log) -> None:
    await log.fill(
        [
            *(quiz(1, 100), viewing(1, 101)),  # only before
            *(viewing(2, 100), quiz(2, 100)),  # at the same instant
            *(quiz(3, 100), viewing(3, 100), quiz(3, 101), quiz(3, 102)),
            *(viewing(4, 100), viewing(4, 300), quiz(4, 200)),  # between two viewings
            *(viewing(5, 100), quiz(5, 200, course_id="biology")),
            *(viewing(6, 100, "z"), quiz(6, 200)),  # another content
            viewing(7, 100),  # nothing after it
        ]
    )
    three, four, five = (str(uuid.UUID(int=user)) for user in (3, 4, 5))
    both = [WatchedThen(three, at(100), at(101)), WatchedThen(four, at(100), at(200))]
    assert await log.watched_then("x", QUIZ, "algebra") == both
    assert await log.watched_then("x", QUIZ) == [*both, WatchedThen(five, at(100), at(200))]
    again = Then("content.viewed", content_id="x")
    assert await log.watched_then("x", again) == [WatchedThen(four, at(100), at(300))]


async def test_what_nobody_watched(log: Log) -> None:
    await log.fill([quiz(1, 100)])
    assert await log.watched_then("x", QUIZ) == []


def latest(frame: pd.DataFrame, user: str, **wanted: str) -> list[str]:
    """Ids of a learner's events, newest first."""
    for name, value in {"user_id": user, **wanted}.items():
        frame = frame[frame[name] == value]
    return list(frame.sort_values(["at", "event_id"], ascending=[False, True])["event_id"])


async def test_a_learners_interactions_newest_first(log: Log) -> None:
    await log.fill(LOGGED)
    user = log.frame["user_id"].value_counts().index[0]
    told = {e["event_id"]: e for e in LOGGED if e["user_id"] == user}
    for wanted in ({}, {"course_id": "algebra"}, {"type": "quiz.submitted"}):
        must = latest(log.frame, user, **wanted)
        assert len(must) > 2
        found = await interactions_of(log.client, log.index, user, **wanted, limit=10_000)
        assert found == [told[id_] for id_ in must]
        few = await interactions_of(log.client, log.index, user, **wanted, limit=2)
        assert few == found[:2]


async def test_interactions_of_one_millisecond_stand_in_order(log: Log) -> None:
    events = [quiz(1, microsecond) for microsecond in (5, 3, 9, 1, 3)]
    await log.fill(events)
    found = await interactions_of(log.client, log.index, events[0]["user_id"])
    assert [e["event_id"] for e in found] == latest(log.frame, events[0]["user_id"])


async def test_search_in_what_learners_write(log: Log) -> None:
    def feedback(user: int, microsecond: int, text: str) -> Event:
        return event(user, microsecond, "feedback.given", text=text)

    await log.fill(
        [
            feedback(1, 1, "The second video helped me."),
            feedback(1, 2, "Video two: of NO help"),
            feedback(1, 3, "Le vidéo was great, the helped second."),
            feedback(2, 4, "The second video helped me, too."),
            quiz(1, 5, "video"),
        ]
    )
    user = str(uuid.UUID(int=1))

    async def found(text: str) -> list[str]:
        events = await interactions_of(log.client, log.index, user, text=text)
        return [e["text"][:9] for e in events]

    assert await found("VIDEO") == ["Video two", "The secon"]
    assert await found("helped second") == ["Le vidéo ", "The secon"]
    assert await found("second no") == []


async def test_no_index_and_nobody_there_are_told(log: Log) -> None:
    with pytest.raises(StoreUnavailable, match="no such index"):
        await watched_then(log.client, "nowhere", "x", QUIZ)
    with pytest.raises(StoreUnavailable, match="no such index"):
        await interactions_of(log.client, "nowhere", "x")
