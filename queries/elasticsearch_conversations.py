"""Questions to the conversations: what was said, by whom, and what was decided at that moment.

A message written within the last second may not be found yet.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from elasticsearch import AsyncElasticsearch

from queries.answers import FoundMessage
from sinks.elasticsearch_client import answering

MARK = "**"
"""Stands before and after each word that was looked for."""

_HIGHLIGHT = {
    "fields": {"message_text": {"fragment_size": 300, "number_of_fragments": 1}},
    "pre_tags": [MARK],
    "post_tags": [MARK],
}


class Wanted(NamedTuple):
    """Which messages; of each filter that is given, all must hold.

    ``label``: in force then, by either tree. ``since`` is included, ``until`` not.
    """

    user_id: str | None = None
    course_id: str | None = None
    topic_id: str | None = None
    session_id: str | None = None
    flag: str | None = None
    label: str | None = None
    direction: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def conversations(
    client: AsyncElasticsearch, index: str, text: str | None, wanted: Wanted, limit: int = 20
) -> list[FoundMessage]:
    """Messages with all words of ``text``, the best match first; without it the newest first.

    Raises:
        StoreUnavailable: nobody answers, or there is no such index.
    """
    query: dict[str, Any] = {"filter": _filters(wanted)}
    if text is not None:
        query["must"] = [{"match": {"message_text": {"query": text, "operator": "and"}}}]
    newest = [{"timestamp": "desc"}, {"event_id": "asc"}]
    with answering(client):
        answer = await client.search(
            index=index,
            query={"bool": query},
            sort=newest if text is None else ["_score", *newest],
            highlight=_HIGHLIGHT,
            size=limit,
        )
    return [_found(hit) for hit in answer["hits"]["hits"]]


async def passages(  # noqa: PLR0913, PLR0917
    client: AsyncElasticsearch, index: str, user_id: str, session_id: str, text: str, most: int
) -> list[str]:
    """What was said to or by this learner in other sessions that fits ``text`` best.

    Args:
        session_id: the session that is held now, which is left out.
        most: passages, 1–100.

    Raises:
        StoreUnavailable: nobody answers, or there is no such index.
    """
    with answering(client):
        answer = await client.search(
            index=index,
            query={
                "bool": {
                    "must": [{"match": {"message_text": text}}],
                    "filter": [{"term": {"user_id": user_id}}],
                    "must_not": [{"term": {"session_id": session_id}}],
                }
            },
            source={"includes": ["message_text"]},
            size=most,
        )
    return [hit["_source"]["message_text"] for hit in answer["hits"]["hits"]]


def _filters(wanted: Wanted) -> list[dict[str, Any]]:
    terms = {
        "user_id": wanted.user_id and wanted.user_id.lower(),
        "course_id": wanted.course_id,
        "contextual_topic_id": wanted.topic_id,
        "session_id": wanted.session_id,
        "feedback_flags": wanted.flag,
        "labels": wanted.label,
        "message_direction": wanted.direction,
    }
    filters: list[dict[str, Any]] = [{"term": {k: v}} for k, v in terms.items() if v is not None]
    times = {"gte": wanted.since, "lt": wanted.until}
    told = {name: time.isoformat() for name, time in times.items() if time is not None}
    return [*filters, {"range": {"timestamp": told}}] if told else filters


def _found(hit: dict[str, Any]) -> FoundMessage:
    message = hit["_source"]
    (shown,) = hit.get("highlight", {}).get("message_text", [message["message_text"]])
    labels = message["labels"]
    return FoundMessage(
        datetime.fromisoformat(message["timestamp"]),
        message["user_id"],
        message["session_id"],
        message["course_id"],
        message["contextual_topic_id"],
        message["message_direction"],
        message["responder"],
        shown,
        tuple(message["feedback_flags"]),
        labels.get("primary_classification", ""),
        labels.get("intervention_strategy", ""),
        message["decision_ids"].get("intervention_strategy", ""),
    )
