"""The MongoDB sink on a real server: the suite, hostile names, two at once, absence."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from pydantic import SecretStr
from pymongo.asynchronous.database import AsyncDatabase

from audit.mongodb import MongodbAudit
from config.settings import MongodbSettings
from schemas.errors import InvalidSetting, RecordRefused, StoreUnavailable
from servers.kafka import free_ports
from servers.mongodb import new_database
from servers.store_server import StoreServer
from sink_suite.contract_tests import Made, SinkContract, assert_equal, contents, expected, write
from sink_suite.stream_records import stream_records
from sinks.contract import SinkRecord
from sinks.mongodb import MAX_DOCUMENT_BYTES, MongodbSink, connect
from sinks.mongodb_documents import COLLECTIONS, document_of

STATES = [record for record in stream_records() if record.topic in MongodbSink.topics]
ENGAGEMENT = next(r for r in reversed(STATES) if r.topic == "engagement")

HOSTILE = ["a.b", "$set", "", "%", "%2E", "ünï.cødé 漢字", "$", "..", "x$y", "_id", "a\0b", "50%"]


@pytest.fixture
def settings(mongodb_server: StoreServer) -> Iterator[MongodbSettings]:
    with new_database(mongodb_server) as settings:
        yield settings


@pytest.fixture
async def database(settings: MongodbSettings) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    database = connect(settings)
    yield database
    await database.client.close()


@pytest.fixture
def made(settings: MongodbSettings) -> Made:
    (closed,) = free_ports(1)
    nowhere = MongodbSettings(url=f"mongodb://127.0.0.1:{closed}/learner", timeout_seconds=0.5)
    return Made(
        sink=lambda: MongodbSink(settings),
        audit=MongodbAudit(settings),
        unreachable=lambda: MongodbSink(nowhere),
        refused=lambda record: state(record, str(uuid.uuid4()), course_id="x" * MAX_DOCUMENT_BYTES),
    )


def state(record: SinkRecord, user_id: str, **changed: Any) -> SinkRecord:
    """Another state, of another learner."""
    value = {**(record.value or {}), "user_id": user_id, **changed}
    key = user_id if record.topic == "behavior" else f"{user_id}|{value['course_id']}"
    return record._replace(key=key, value=value, raw=orjson.dumps(value))


class TestMongodb(SinkContract):
    """All of the suite."""


async def test_names_that_a_path_could_not_tell(
    made: Made, database: AsyncDatabase[dict[str, Any]]
) -> None:
    hostile = {
        "confidence_score_by_topic": dict.fromkeys(HOSTILE, 0.5),
        "topic_scores": {name: float(n) for n, name in enumerate(HOSTILE)},
        "topic_tallies": {name: {"count": 1, "score_sum": 1.0} for name in HOSTILE},
        "skill_scores": dict.fromkeys(HOSTILE, 10.0),
        "redo_topics": HOSTILE,
    }
    record = state(ENGAGEMENT, str(uuid.uuid4()), course_id="$a.b|ü", **hostile)
    newer = state(record, record.key[:36], offset=10**9, PMI=0.25)
    for batch in ([record], [newer]):
        await write(made, batch)
        assert_equal(await contents(made.audit), expected(made.audit, batch))
    found = await database["course_engagement"].find_one({"topic_scores.a%2Eb": 0.0})
    assert found is not None
    assert found["_id"] == record.key


async def test_times_are_dates_of_whole_milliseconds(
    made: Made, database: AsyncDatabase[dict[str, Any]]
) -> None:
    record = state(ENGAGEMENT, str(uuid.uuid4()), module_at="2024-02-29T23:59:59.999999Z")
    await write(made, [record])
    assert_equal(await contents(made.audit), expected(made.audit, [record]))
    found = await database["course_engagement"].find_one({"_id": record.key})
    assert found is not None
    assert found["module_at"].isoformat() == "2024-02-29T23:59:59.999000+00:00"
    assert record.value is not None
    assert record.value["module_at"] == "2024-02-29T23:59:59.999999Z"


async def test_deleted_and_told_of_again(made: Made) -> None:
    key = ENGAGEMENT.key
    of_key = [r for r in STATES if r.topic == "engagement" and r.key == key]
    gone = ENGAGEMENT._replace(value=None, raw=b"")
    await write(made, of_key, [gone])
    assert await contents(made.audit) == {}
    await write(made, [gone], [*of_key[:5], gone, of_key[3]])
    assert_equal(await contents(made.audit), expected(made.audit, [of_key[3]]))


async def test_an_older_state_after_a_newer_one_in_the_same_batch(made: Made) -> None:
    newest = {record.key: record for record in STATES if record.topic == "behavior"}
    await write(made, [*newest.values(), *(r for r in STATES[:300] if r.topic == "behavior")])
    assert_equal(await contents(made.audit), expected(made.audit, newest.values()))


async def test_two_sinks_at_once_leave_the_newer_state(made: Made) -> None:
    """Both find nothing there; whoever comes second must not win if it is older."""
    older = [state(ENGAGEMENT, str(uuid.uuid4()), offset=1, PMI=0.1) for _ in range(60)]
    newer = [state(record, record.key[:36], offset=2, PMI=0.2) for record in older]
    sinks = [made.sink(), made.sink()]
    for sink in sinks:
        await sink.setup()
    for at_ in range(0, 60, 10):
        first, second = sinks if at_ % 20 else reversed(sinks)
        writes = (first.write(older[at_ : at_ + 10]), second.write(newer[at_ : at_ + 10]))
        await asyncio.gather(*writes)
    for sink in sinks:
        await sink.close()
    assert_equal(await contents(made.audit), expected(made.audit, newer))


async def test_a_document_just_within_the_limit_goes_in(made: Made) -> None:
    record = state(STATES[0], str(uuid.uuid4()), course_id="")
    collection = COLLECTIONS[record.topic]
    room = MAX_DOCUMENT_BYTES - 100_000
    large = state(record, record.key, course_id="x" * room)
    assert large.value is not None
    assert document_of(collection, large.key, large.value)["course_id"] == "x" * room
    await write(made, [large])
    assert_equal(await contents(made.audit), expected(made.audit, [large]))


async def test_a_number_that_bson_has_no_room_for_is_refused(made: Made) -> None:
    with pytest.raises(RecordRefused, match="8-byte"):
        await write(made, [state(STATES[0], str(uuid.uuid4()), events=2**63)])


async def test_queries_find_their_indexes(
    made: Made, database: AsyncDatabase[dict[str, Any]]
) -> None:
    await write(made, ())
    indexes = await database["course_engagement"].index_information()
    assert {tuple(index["key"]) for index in indexes.values()} == {
        (("_id", 1),),
        (("user_id", 1),),
        (("course_id", 1),),
    }


async def test_a_frozen_server_is_away_and_then_back(
    mongodb_server: StoreServer, settings: MongodbSettings
) -> None:
    sink = MongodbSink(settings.model_copy(update={"timeout_seconds": 1.0}))
    await sink.setup()
    mongodb_server.freeze()
    try:
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
            await sink.write(STATES[:50])
        assert time.monotonic() - begun < 5
    finally:
        mongodb_server.wake()
    await until_written(sink, STATES[:50])
    await sink.close()
    audit = MongodbAudit(settings)
    assert_equal(await contents(audit), expected(audit, STATES[:50]))


async def test_what_was_written_outlives_a_killed_server(
    mongodb_server: StoreServer, settings: MongodbSettings
) -> None:
    sink = MongodbSink(settings.model_copy(update={"timeout_seconds": 2.0}))
    await sink.setup()
    await sink.write(STATES[:200])
    mongodb_server.kill()
    try:
        with pytest.raises(StoreUnavailable):
            await sink.write(STATES[200:300])
    finally:
        mongodb_server.start()
    audit = MongodbAudit(settings)
    assert_equal(await contents(audit), expected(audit, STATES[:200]))
    await until_written(sink, STATES[200:300])
    await sink.close()
    assert_equal(await contents(audit), expected(audit, STATES[:300]))


async def until_written(sink: MongodbSink, batch: list[SinkRecord]) -> None:
    """As the runner does."""
    for _ in range(10):
        try:
            await sink.write(batch)
            return
        except StoreUnavailable:
            await asyncio.sleep(0.2)
    pytest.fail("the server is back and the sink does not notice")


async def test_a_stranger_is_not_let_in_and_no_password_is_told(
    mongodb_server: StoreServer,
) -> None:
    url = urlsplit(mongodb_server.url)
    stranger = url._replace(netloc=f"stranger@{url.netloc.rpartition('@')[2]}").geturl()
    sink = MongodbSink(MongodbSettings(url=stranger, password=SecretStr("hunter2")))
    with pytest.raises(StoreUnavailable, match=r"(?i)auth") as raised:
        await sink.setup()
    await sink.close()
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1", "mongodb://"])
async def test_an_address_of_something_else(url: str) -> None:
    with pytest.raises(InvalidSetting, match="LEARNER_MONGODB__URL"):
        await MongodbSink(MongodbSettings(url=url)).setup()
