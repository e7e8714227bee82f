"""The interaction log in a real Elasticsearch: the suite of all sinks, and what is its own."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
import pytest
from elasticsearch import AsyncElasticsearch
from pydantic import SecretStr

from audit.elasticsearch import ElasticsearchAudit
from config.settings import ElasticsearchSettings
from schemas.errors import InvalidSetting, StoreUnavailable
from schemas.sample_records import SAMPLES
from schemas.topics import EVENTS
from servers.kafka import free_ports
from servers.store_server import StoreServer
from sink_suite.contract_tests import Made, SinkContract, contents
from sinks import elasticsearch_client
from sinks.contract import SinkRecord
from sinks.elasticsearch import ElasticsearchSink
from sinks.elasticsearch_client import connect
from sinks.elasticsearch_indices import CHAT_MESSAGE, INDICES, INTERACTIONS, interaction_id

USER = "5f0e6c3a-1b7d-4c58-8f5e-2d9a7b1c4e60"
SAMPLE_EVENTS = [
    value | {"event_id": str(uuid.UUID(int=number))}
    for number, (_, value) in enumerate(SAMPLES["learner-event"])
]


def record(value: dict[str, Any], offset: int = 0) -> SinkRecord:
    return SinkRecord(EVENTS, 0, offset, value["user_id"], value, orjson.dumps(value))


def feedback(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "type": "feedback.given",
        "event_id": str(uuid.UUID(int=number)),
        "user_id": USER,
        "course_id": "algebra",
        "occurred_at": "2026-01-31T09:00:00Z",
        "source": "lms",
        "text": "It helped.",
        **fields,
    }


@pytest.fixture
def settings(elasticsearch_server: StoreServer) -> Iterator[ElasticsearchSettings]:
    """Indices of the test's own, deleted after it."""
    name = f"t{uuid.uuid4().hex[:12]}"
    settings = ElasticsearchSettings(
        url=elasticsearch_server.url, index=name, conversations=f"{name}-chat", timeout_seconds=20
    )
    yield settings
    asyncio.run(_delete(settings))


async def _delete(settings: ElasticsearchSettings) -> None:
    async with connect(settings) as client:
        for alias in (index.alias(settings) for index in INDICES):
            for name in (f"{alias}-1", alias):
                await client.indices.delete(index=name, ignore_unavailable=True)


@pytest.fixture
async def client(settings: ElasticsearchSettings) -> AsyncIterator[AsyncElasticsearch]:
    async with connect(settings) as client:
        yield client


@pytest.fixture
async def sink(settings: ElasticsearchSettings) -> AsyncIterator[ElasticsearchSink]:
    sink = ElasticsearchSink(settings)
    await sink.setup()
    yield sink
    await sink.close()


async def stored(settings: ElasticsearchSettings) -> dict[str, dict[str, Any]]:
    """Documents by id."""
    rows = await contents(ElasticsearchAudit(settings))
    return {id_: values for (_, id_), values in rows.items()}


async def set_up(settings: ElasticsearchSettings) -> None:
    sink = ElasticsearchSink(settings)
    try:
        await sink.setup()
    finally:
        await sink.close()


class TestElasticsearch(SinkContract):
    @pytest.fixture
    def made(self, settings: ElasticsearchSettings) -> Made:
        (port,) = free_ports(1)
        nobody = settings.model_copy(update={"url": f"http://127.0.0.1:{port}"})
        return Made(
            lambda: ElasticsearchSink(settings),
            ElasticsearchAudit(settings),
            lambda: ElasticsearchSink(nobody),
            before_1970,
        )


def before_1970(valid: SinkRecord) -> SinkRecord:
    assert valid.value is not None
    other = {"event_id": str(uuid.UUID(int=1)), "occurred_at": "1969-07-20T20:17:40Z"}
    return record(valid.value | other, valid.offset)


async def test_each_field_can_be_searched_by_its_value(
    settings: ElasticsearchSettings, sink: ElasticsearchSink, client: AsyncElasticsearch
) -> None:
    await sink.write([record(value) for value in SAMPLE_EVENTS])
    await client.indices.refresh(index=settings.index)
    asked = set()
    for event in SAMPLE_EVENTS:
        for name, value in event.items() if event["type"] != CHAT_MESSAGE else ():
            asked.add(name)
            for one in value if isinstance(value, list) else [value]:
                ask = {"match_phrase": {name: one}} if name == "text" else {"term": {name: one}}
                if isinstance(one, dict):
                    ((key, inner), *_) = one.items()
                    ask = {"term": {f"{name}.{key}": inner}}
                this = {"term": {"event_id": event["event_id"]}}
                found = await client.count(
                    index=settings.index, query={"bool": {"filter": [this, ask]}}
                )
                assert found["count"] == 1, (name, one)
    assert len(asked) > 30


async def test_chat_stays_out(settings: ElasticsearchSettings, sink: ElasticsearchSink) -> None:
    await sink.write([record(value) for value in SAMPLE_EVENTS])
    types = {event["type"] for event in (await stored(settings)).values()}
    assert types == {event["type"] for event in SAMPLE_EVENTS} - {CHAT_MESSAGE}
    assert len(types) == 18


async def test_the_first_telling_stays(
    settings: ElasticsearchSettings, sink: ElasticsearchSink
) -> None:
    first, later = feedback(text="first"), feedback(text="later")
    await sink.write([record(later, 9), record(first, 3), record(later, 5)])
    await sink.write([record(later, 9)])
    assert await stored(settings) == {interaction_id(first): first}


async def test_the_same_event_id_of_another_day_or_learner_is_another_event(
    settings: ElasticsearchSettings, sink: ElasticsearchSink
) -> None:
    events = [
        feedback(occurred_at="2026-01-31T23:59:59.999999Z"),
        feedback(occurred_at="2026-02-01T00:00:00Z"),
        feedback(user_id=str(uuid.UUID(int=7))),
    ]
    await sink.write([record(event) for event in events])
    assert len(await stored(settings)) == 3


async def test_topics_may_be_called_anything(
    settings: ElasticsearchSettings, sink: ElasticsearchSink
) -> None:
    names = ("a", "a.b", ".", "..", "*", " ", "_id", "x" * 255, "π/½", '"', "a\\b")
    survey = feedback(type="survey.answered", survey_id="s", flagged_topics=list(names))
    del survey["text"]
    survey["confidence_by_topic"] = {name: n / 10 for n, name in enumerate(names)}
    await sink.write([record(survey), record(feedback(2, topic_id=".."))])
    found = await stored(settings)
    assert found[interaction_id(survey)] == survey
    assert len(found) == 2


async def test_a_large_batch_goes_in_several_requests_and_comes_back_in_pages(
    settings: ElasticsearchSettings,
    sink: ElasticsearchSink,
    client: AsyncElasticsearch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(elasticsearch_client, "_PAGE", 100)
    events = [feedback(number, text="ö" * 4000) for number in range(1500)]  # 12 MB
    await sink.write([record(event, offset) for offset, event in enumerate(events)])
    stats = await client.indices.stats(index=settings.index, metric="bulk")
    assert stats["_all"]["primaries"]["bulk"]["total_operations"] == 3
    assert len(await stored(settings)) == 1500


async def test_many_set_up_at_once(settings: ElasticsearchSettings) -> None:
    sinks = [ElasticsearchSink(settings) for _ in range(5)]
    await asyncio.gather(*(sink.setup() for sink in sinks))
    await asyncio.gather(*(sink.write([record(feedback())]) for sink in sinks))
    await asyncio.gather(*(sink.close() for sink in sinks))
    assert len(await stored(settings)) == 1


async def test_an_older_index_gets_the_fields_that_it_lacks(
    settings: ElasticsearchSettings, client: AsyncElasticsearch
) -> None:
    await client.indices.create(
        index=f"{settings.index}-1",
        aliases={settings.index: {}},
        mappings={"dynamic": "strict", "properties": {"event_id": {"type": "keyword"}}},
    )
    await set_up(settings)
    described = await client.indices.get_mapping(index=settings.index)
    assert (
        described[f"{settings.index}-1"]["mappings"]["properties"].keys()
        == INTERACTIONS.fields.keys()
    )


async def test_an_index_with_other_types_is_left_alone_and_told(
    settings: ElasticsearchSettings, client: AsyncElasticsearch
) -> None:
    await client.indices.create(
        index=f"{settings.index}-1",
        aliases={settings.index: {}},
        mappings={"properties": {"score": {"type": "text"}}},
    )
    before = await client.indices.get_mapping(index=settings.index)
    with pytest.raises(InvalidSetting, match=f"{settings.index}-1 has score as text, not double"):
        await set_up(settings)
    assert await client.indices.get_mapping(index=settings.index) == before


async def test_settings_by_which_no_index_can_be_made_are_told(
    settings: ElasticsearchSettings, client: AsyncElasticsearch
) -> None:
    with pytest.raises(InvalidSetting, match=r"ANALYZER=klingon: .*analyzer \[klingon\]"):
        await set_up(settings.model_copy(update={"analyzer": "klingon"}))
    await client.indices.create(index=settings.index)
    with pytest.raises(InvalidSetting, match=f"INDEX={settings.index} .*same name as the alias"):
        await set_up(settings)


async def test_a_deleted_index_is_missed_not_made_anew(
    settings: ElasticsearchSettings, sink: ElasticsearchSink, client: AsyncElasticsearch
) -> None:
    await client.indices.delete(index=f"{settings.index}-1")
    with pytest.raises(StoreUnavailable, match="no such index"):
        await sink.write([record(feedback())])
    assert not await client.indices.exists(index=settings.index)
    await sink.setup()
    await sink.write([record(feedback())])
    assert len(await stored(settings)) == 1


async def test_a_read_only_index_is_tried_again(
    settings: ElasticsearchSettings, sink: ElasticsearchSink, client: AsyncElasticsearch
) -> None:
    await client.indices.put_settings(index=settings.index, settings={"blocks.write": True})
    with pytest.raises(StoreUnavailable, match="blocked"):
        await sink.write([record(feedback()), before_1970(record(feedback()))])
    await client.indices.put_settings(index=settings.index, settings={"blocks.write": False})
    await sink.write([record(feedback())])
    assert len(await stored(settings)) == 1


async def test_frozen_it_is_away_when_the_time_is_over(
    settings: ElasticsearchSettings, sink: ElasticsearchSink, elasticsearch_server: StoreServer
) -> None:
    hasty = ElasticsearchSink(settings.model_copy(update={"timeout_seconds": 0.5}))
    await hasty.setup()
    elasticsearch_server.freeze()
    began = time.monotonic()
    try:
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
            await hasty.write([record(feedback())])
    finally:
        elasticsearch_server.wake()
    assert time.monotonic() - began < 5
    await hasty.write([record(feedback())])
    await hasty.close()
    assert len(await stored(settings)) == 1


async def test_killed_and_started_again_it_has_what_was_written(
    settings: ElasticsearchSettings, sink: ElasticsearchSink, elasticsearch_server: StoreServer
) -> None:
    await sink.write([record(feedback(number)) for number in range(500)])
    elasticsearch_server.kill()
    with pytest.raises(StoreUnavailable):
        await sink.write([record(feedback(500))])
    elasticsearch_server.start()
    await sink.write([record(feedback(500))])
    assert len(await stored(settings)) == 501


async def test_no_error_tells_the_password(settings: ElasticsearchSettings) -> None:
    (port,) = free_ports(1)
    secret = {"url": f"http://ada@127.0.0.1:{port}", "password": SecretStr("s3cr3t")}
    with pytest.raises(StoreUnavailable) as caught:
        await set_up(settings.model_copy(update=secret))
    assert "s3cr3t" not in str(caught.value)
