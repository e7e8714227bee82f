"""Conversations on a real Elasticsearch: by words, by every filter, and for the tutor's memory."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from config.settings import ElasticsearchSettings
from queries.answers import FoundMessage
from queries.elasticsearch_conversations import Wanted, conversations, passages
from schemas.errors import StoreUnavailable
from schemas.topics import CHAT
from servers.store_server import StoreServer
from sink_suite.stream_records import stream_records
from sinks.elasticsearch import ElasticsearchSink
from sinks.elasticsearch_client import connect
from sinks.elasticsearch_indices import INDICES

RECORDS = [record for record in stream_records() if record.topic == CHAT]
SAID: list[dict[str, Any]] = [record.value for record in RECORDS if record.value is not None]


class Log:
    def __init__(self, client: AsyncElasticsearch, index: str) -> None:
        self.client, self.index = client, index

    async def ask(self, text: str | None = None, limit: int = 1000, **f: Any) -> list[FoundMessage]:
        return await conversations(self.client, self.index, text, Wanted(**f), limit)


@pytest.fixture
async def log(elasticsearch_server: StoreServer) -> AsyncIterator[Log]:
    name = f"c{uuid.uuid4().hex[:12]}"
    settings = ElasticsearchSettings(
        url=elasticsearch_server.url, index=name, conversations=f"{name}-chat", timeout_seconds=20
    )
    sink = ElasticsearchSink(settings)
    await sink.setup()
    async with connect(settings) as client:
        await sink.write(RECORDS)
        await client.indices.refresh(index=settings.conversations)
        yield Log(client, settings.conversations)
        for index in INDICES:
            await client.indices.delete(index=f"{index.alias(settings)}-1")
    await sink.close()


def words(text: str) -> set[str]:
    return set(re.findall(r"[\w']+", text.lower()))


async def test_words_are_found_and_marked_with_what_was_decided_then(log: Log) -> None:
    found = await log.ask("sign different")
    assert found
    must = [said for said in SAID if {"sign", "different"} <= words(said["message_text"])]
    assert len(found) == len(must)
    one = found[0]
    assert "**sign**" in one.text
    assert "**different**" in one.text
    (said,) = (m for m in must if (m["user_id"], m["session_id"]) == (one.user_id, one.session_id))
    assert one.label == said["labels"].get("primary_classification", "")
    assert one.strategy == said["labels"].get("intervention_strategy", "")
    assert one.decision_id == said["decision_ids"].get("intervention_strategy", "")
    assert one.decision_id


FILTERS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "user_id": lambda m: [m["user_id"]],
    "course_id": lambda m: [m["course_id"]],
    "topic_id": lambda m: [m["contextual_topic_id"]],
    "session_id": lambda m: [m["session_id"]],
    "direction": lambda m: [m["message_direction"]],
    "flag": lambda m: m["feedback_flags"],
    "label": lambda m: list(m["labels"].values()),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_each_filter_gives_those_and_no_others(log: Log, name: str) -> None:
    told = FILTERS[name]
    values = {value for message in SAID for value in told(message) if value}
    assert values
    for value in sorted(values)[:5]:
        must = [message for message in SAID if value in told(message)]
        found = await log.ask(**{name: value})
        assert len(found) == len(must) > 0
        assert len(await log.ask(limit=1, **{name: value})) == 1


async def test_a_time_span_includes_its_beginning_only(log: Log) -> None:
    times = sorted(datetime.fromisoformat(m["timestamp"]) for m in SAID)
    begin, end = times[3], times[-3]
    found = await log.ask(since=begin, until=end)
    assert sorted(f.timestamp for f in found) == [t for t in times if begin <= t < end]
    assert [f.timestamp for f in found] == sorted((f.timestamp for f in found), reverse=True)


async def test_a_learner_is_reminded_of_their_own_words_only(log: Log) -> None:
    here, *_ = (m for m in SAID if "sign" in m["message_text"])
    user = here["user_id"]
    elsewhere = [
        m["message_text"]
        for m in SAID
        if m["user_id"] == user and m["session_id"] != here["session_id"]
    ]
    found = await passages(log.client, log.index, user, here["session_id"], "what is the tutor", 50)
    assert set(found) <= set(elsewhere)
    others = await passages(log.client, log.index, user, "no session", "sign", 50)
    assert others
    assert all("sign" in words(text) for text in others)
    assert await passages(log.client, log.index, str(uuid.UUID(int=1)), "s", "sign", 50) == []


async def test_words_of_a_query_language_are_words(log: Log) -> None:
    for text in ('sign" OR user_id:*', "*:*", "/.*/", "(", "\\", "{}"):
        assert len(await log.ask(text)) < len(SAID)


async def test_no_index_is_told(log: Log) -> None:
    with pytest.raises(StoreUnavailable):
        await conversations(log.client, "not-there", None, Wanted(), 1)


def test_there_is_something_to_find() -> None:
    assert len(SAID) > 10
    assert datetime.now(UTC) - timedelta(days=36500) < datetime.fromisoformat(SAID[0]["timestamp"])
