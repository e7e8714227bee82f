"""States as documents: the source's attributes under their names, times, escaped names."""

from __future__ import annotations

import asyncio
import doctest
import typing
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.behavior import Behavior
from schemas.engagement import Engagement
from schemas.fields import UtcTime
from servers.mongodb import new_database
from servers.store_server import StoreServer
from sink_suite.stream_records import stream_records
from sinks import mongodb_documents
from sinks.mongodb import MongodbSink, connect
from sinks.mongodb_documents import COLLECTIONS, document_of, escaped, state_of, unescaped

STATES = [record for record in stream_records() if record.topic in MongodbSink.topics]

SECTION_2 = {
    "user_id": str,
    "course_id": str,
    "total_time_spent": float,
    "content_type_engagement.quiz_time": float,
    "content_type_engagement.video_time": float,
    "content_type_engagement.reading_time": float,
    "content_type_engagement.hint_usage_count": int,
    "module_order_log.module_id": str,
    "module_order_log.timestamp": datetime,
    "retention_span": float,
    "active_time_distribution.*": int,
    "exploratory_behavior_score": float,
    "content_flags.topic_id": str,
    "content_flags.flagged_type": str,
    "total_courses": int,
    "avg_score": float,
    "dominant_format": str,
    "last_activity_date": str,
}
SECTION_3 = {
    "user_id": str,
    "course_id": str,
    "module_id": str,
    "quiz_attempts.question_id": str,
    "quiz_attempts.score": float,
    "quiz_attempts.skill_tag": str,
    "quiz_attempts.objective_tag": str,
    "quiz_attempts.retries": int,
    "quiz_attempts.hint_used": bool,
    "confidence_score_by_topic.*": float,
    "confidence_score_trends.topic_id": str,
    "confidence_score_trends.trend_value": float,
    "redo_topics": str,
    "topic_scores.*": float,
    "PMI": float,
    "skill_scores.*": float,
    "flagged_topics": str,
    "session_logs.start_time": datetime,
    "session_logs.end_time": datetime,
    "session_logs.duration": float,
    "session_logs.activity_type": str,
    "format_performance_mismatch.*.comfort": float,
    "format_performance_mismatch.*.performance": float,
}
ATTRIBUTES = [
    *(("learner_behavior", path, kind) for path, kind in SECTION_2.items()),
    *(("course_engagement", path, kind) for path, kind in SECTION_3.items()),
]

Documents = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def stored(mongodb_server: StoreServer) -> Iterator[Documents]:
    """All documents that the simulated class leaves."""
    with new_database(mongodb_server) as settings:
        sink, database = MongodbSink(settings), connect(settings)

        async def write_and_read() -> Documents:
            await sink.setup()
            await sink.write(STATES)
            await sink.close()
            found = {c.name: await database[c.name].find().to_list() for c in COLLECTIONS.values()}
            await database.client.close()
            return found

        yield asyncio.run(write_and_read())


@pytest.mark.parametrize(("collection", "path", "kind"), ATTRIBUTES)
def test_an_attribute_of_the_source_stands_under_its_name(
    stored: Documents, collection: str, path: str, kind: type
) -> None:
    found = [value for document in stored[collection] for value in at(document, path.split("."))]
    told = [value for value in found if value is not None]
    assert told, f"{collection}: no document has {path}"
    assert {type(value) for value in told} == {kind}


def at(value: Any, path: list[str]) -> Iterator[Any]:
    """All that stands at a path, also in lists; ``*`` is any key."""
    if isinstance(value, list):
        for element in value:
            yield from at(element, path)
    elif not path:
        yield value
    elif path[0] == "*":
        for element in value.values():
            yield from at(element, path[1:])
    elif path[0] in value:
        yield from at(value[path[0]], path[1:])


def fields_of(kind: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and type of every field of a state, as `COLLECTIONS` writes paths."""
    for name, of in typing.get_type_hints(kind, include_extras=True).items():
        yield f"{path}{name}", of
        for inner in typing.get_args(of):
            if typing.get_origin(of) is tuple and hasattr(inner, "__struct_fields__"):
                yield from fields_of(inner, f"{path}{name}[].")


@pytest.mark.parametrize(("table", "kind"), [("behavior", Behavior), ("engagement", Engagement)])
def test_every_time_and_every_name_of_the_lms_is_declared(table: str, kind: type) -> None:
    times = {path for path, of in fields_of(kind) if of in (UtcTime, UtcTime | None)}
    by_name = {
        path
        for path, of in fields_of(kind)
        if typing.get_origin(of) is dict and typing.get_args(of)[0] is str
    }
    ours = {"active_time_distribution", "labels", "decision_ids"}
    assert len(times) > 5
    assert set(COLLECTIONS[table].times) == times
    assert set(COLLECTIONS[table].by_name) == by_name - ours


@given(st.lists(st.one_of(st.text(), st.text("%.$\0 24E5", max_size=6)), unique=True))
def test_escaped_names_are_all_different_and_come_back(names: list[str]) -> None:
    made = [escaped(name) for name in names]
    assert [unescaped(name) for name in made] == names
    assert len(set(made)) == len(names)
    for name in made:
        assert name
        assert "." not in name
        assert "\0" not in name
        assert not name.startswith("$")


def test_a_state_comes_back_from_its_document() -> None:
    for record in STATES[:50]:
        assert record.value is not None
        collection = COLLECTIONS[record.topic]
        document = document_of(collection, record.key, record.value)
        assert document.keys() == {"_id", *record.value}
        assert state_of(collection, document).keys() == record.value.keys()


def test_the_examples_in_the_docstrings() -> None:
    failed, tried = doctest.testmod(mongodb_documents)
    assert (failed, tried) == (0, 2)
