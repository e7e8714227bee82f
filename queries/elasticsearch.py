"""Questions to the interaction log: who watched this and then did that, and what a learner did.

An event written within the last second may not be found yet.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Any, NamedTuple

from elasticsearch import AsyncElasticsearch

from queries.answers import WatchedThen
from sinks.elasticsearch_client import answering, hits

_USERS = 1_000
_OLDEST_FIRST = ({"occurred_at": "asc"},)
_NEWEST_FIRST = ({"occurred_at": "desc"}, {"event_id": "asc"})


class Then(NamedTuple):
    """A kind of event: of that ``type``, with those ids where they are given."""

    type: str
    topic_id: str | None = None
    question_id: str | None = None
    content_id: str | None = None
    module_id: str | None = None


class _Viewer(NamedTuple):
    user_id: str
    since: str
    """Of the first viewing, the millisecond in which it lies."""


async def watched_then(
    client: AsyncElasticsearch,
    index: str,
    content_id: str,
    then: Then,
    course_id: str | None = None,
) -> list[WatchedThen]:
    """Users who viewed the content and then, strictly later, did ``then``; by ``watched_at``.

    With ``course_id``, viewing and deed must be in that course. Exact to the microsecond.

    Raises:
        StoreUnavailable: nobody answers, or there is no such index.
    """
    course = {} if course_id is None else {"course_id": course_id}
    viewing = {"type": "content.viewed", "content_id": content_id, **course}
    deed = {name: value for name, value in then._asdict().items() if value is not None} | course
    found = [
        answer
        async for viewers in _viewers(client, index, viewing)
        for answer in await _then(client, index, viewers, viewing, deed)
    ]
    return sorted(found, key=lambda answer: (answer.watched_at, answer.user_id))


async def interactions_of(  # noqa: PLR0913  # each by name but the learner, one a filter
    client: AsyncElasticsearch,
    index: str,
    user_id: str,
    *,
    course_id: str | None = None,
    type: str | None = None,
    text: str | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """A learner's latest events, newest first, as they were told; ``limit`` (1–10,000) at most.

    ``text``: words that must all stand in a feedback's text, as the index's analyzer sees them.

    Raises:
        StoreUnavailable: nobody answers, or there is no such index.
    """
    wanted = {"user_id": user_id.lower(), "course_id": course_id, "type": type}
    filters = _terms({name: value for name, value in wanted.items() if value is not None})
    if text is not None:
        filters.append({"match": {"text": {"query": text, "operator": "and"}}})
    with answering(client):
        answer = await client.search(
            index=index, query={"bool": {"filter": filters}}, sort=_NEWEST_FIRST, size=limit
        )
    return [hit["_source"] for hit in answer["hits"]["hits"]]


async def _viewers(
    client: AsyncElasticsearch, index: str, viewing: dict[str, str]
) -> AsyncIterator[list[_Viewer]]:
    """Everybody with such a viewing, `_USERS` at a time."""
    composite: dict[str, Any] = {
        "size": _USERS,
        "sources": [{"user_id": {"terms": {"field": "user_id"}}}],
    }
    first = {"first": {"min": {"field": "occurred_at"}}}
    while True:
        with answering(client):
            answer = await client.search(
                index=index,
                size=0,
                query={"bool": {"filter": _terms(viewing)}},
                aggregations={"users": {"composite": composite, "aggregations": first}},
            )
        users = answer["aggregations"]["users"]
        if not users["buckets"]:
            return
        yield [
            _Viewer(bucket["key"]["user_id"], bucket["first"]["value_as_string"])
            for bucket in users["buckets"]
        ]
        composite["after"] = users["after_key"]


async def _then(
    client: AsyncElasticsearch,
    index: str,
    viewers: list[_Viewer],
    viewing: dict[str, str],
    deed: dict[str, str],
) -> list[WatchedThen]:
    """Reads on through the viewers' viewings and deeds until all have done it, or none is left.

    An aggregation knows times to the millisecond only, so the first viewing is read here too.
    """
    pending = {viewer.user_id for viewer in viewers}
    since = min(viewer.since for viewer in viewers)
    watched: dict[str, datetime] = {}
    found: list[WatchedThen] = []

    def query() -> dict[str, Any]:
        either = [{"bool": {"filter": _terms(kind)}} for kind in (viewing, deed)]
        later = {"range": {"occurred_at": {"gte": since}}}
        users = {"terms": {"user_id": sorted(pending)}}
        return {"bool": {"filter": [users, later], "should": either, "minimum_should_match": 1}}

    fields = ("user_id", "occurred_at", *viewing, *deed)
    async with aclosing(hits(client, index, query, _OLDEST_FIRST, fields)) as events:
        async for hit in events:
            event = hit["_source"]
            user_id, at = event["user_id"], datetime.fromisoformat(event["occurred_at"])
            if user_id not in pending:
                continue
            first = watched.get(user_id)
            if first is None:
                if viewing.items() <= event.items():
                    watched[user_id] = at
            elif at > first and deed.items() <= event.items():
                found.append(WatchedThen(user_id, first, at))
                pending.remove(user_id)
            if not pending:
                break
    return found


def _terms(wanted: dict[str, str]) -> list[dict[str, Any]]:
    return [{"term": {name: value}} for name, value in wanted.items()]
