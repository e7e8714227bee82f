"""Whole conversations in MongoDB: one document for a session, split where it grows long.

``chat_transcripts``: ``_id`` is "user_id/session_id/part", ``messages`` at most `PART_MESSAGES` of
them in order, ``offset`` that of the last on ``chat.messages``. What stands at or below it was
kept before; so a batch that comes again adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pymongo import InsertOne, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from schemas.errors import StoreUnavailable
from sinks.contract import SinkRecord
from sinks.mongodb_documents import Document

COLLECTION = "chat_transcripts"
INDEXES = ("session", "user_id")

PART_MESSAGES = 100
"""The largest 100 messages (8,000 characters and 64 tags of 255) are 11 MB, of the 16 MB that a
document may have."""

_LEFT_OUT = ("user_id", "session_id", "prompt", "prompt_version", "figures")
"""Of a message: what the document says once, and what its decision says."""

_DUPLICATE = 11000


class Part(NamedTuple):
    """The last part of a session, as far as it was read: how many messages, up to which offset."""

    number: int
    messages: int
    offset: int


def session_of(value: dict[str, Any]) -> str:
    """What a session's parts share: sessions are their learner's own."""
    return f"{value['user_id']}/{value['session_id']}"


def message_of(record: SinkRecord) -> Document:
    """A chat record as it stands in ``messages``; its time is a BSON date, whole milliseconds."""
    assert record.value is not None  # noqa: S101  # no topic of messages has deletions
    message = {name: value for name, value in record.value.items() if name not in _LEFT_OUT}
    message["timestamp"] = datetime.fromisoformat(record.value["timestamp"])
    return {**message, "offset": record.offset}


async def append(stored: AsyncCollection[Document], records: Iterable[SinkRecord]) -> None:
    """Adds what is new of each session, in the order of the log.

    Raises:
        StoreUnavailable: another sink writes the same sessions; with the next try all is there.
    """
    by_session: dict[str, list[SinkRecord]] = {}
    for record in records:
        if record.value is not None:
            by_session.setdefault(session_of(record.value), []).append(record)
    if not by_session:
        return
    known = await _last_parts(stored, list(by_session))
    todo: list[InsertOne[Document] | UpdateOne] = []
    for session, told in by_session.items():
        todo += _changes(session, known.get(session), told)
    if not todo:
        return
    try:
        done = await stored.bulk_write(todo, ordered=False)
    except BulkWriteError as error:
        codes = {one["code"] for one in (error.details or {}).get("writeErrors", ())}
        if codes != {_DUPLICATE}:
            raise
        raise _another_sink() from None
    if done.matched_count + done.inserted_count != len(todo):
        raise _another_sink()


async def _last_parts(
    stored: AsyncCollection[Document], sessions: Sequence[str]
) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    fields = {"session": 1, "part": 1, "count": 1, "offset": 1}
    async for found in stored.find({"session": {"$in": list(sessions)}}, fields):
        part = Part(found["part"], found["count"], found["offset"])
        parts[found["session"]] = max(part, parts.get(found["session"], part))
    return parts


def _changes(
    session: str, last: Part | None, told: Sequence[SinkRecord]
) -> Iterator[InsertOne[Document] | UpdateOne]:
    """The last part filled up, then new ones: the changes are of different documents."""
    done = last.offset if last else -1
    new = sorted({r.offset: r for r in told if r.offset > done}.values(), key=lambda r: r.offset)
    number, room = (last.number, max(0, PART_MESSAGES - last.messages)) if last else (-1, 0)
    if last and new[:room]:
        yield _filled_up(session, last, new[:room])
    for at in range(room, len(new), PART_MESSAGES):
        number += 1
        yield InsertOne(_part(session, number, new[at : at + PART_MESSAGES]))


def _filled_up(session: str, last: Part, more: Sequence[SinkRecord]) -> UpdateOne:
    messages = [message_of(record) for record in more]
    return UpdateOne(
        {"_id": f"{session}/{last.number}", "offset": last.offset},
        {
            "$push": {"messages": {"$each": messages}},
            "$set": {
                "count": last.messages + len(messages),
                "offset": messages[-1]["offset"],
                "last_message_at": messages[-1]["timestamp"],
            },
        },
    )


def _part(session: str, number: int, records: Sequence[SinkRecord]) -> Document:
    value = records[0].value or {}
    messages = [message_of(record) for record in records]
    return {
        "_id": f"{session}/{number}",
        "session": session,
        "user_id": value["user_id"],
        "session_id": value["session_id"],
        "part": number,
        "count": len(messages),
        "offset": messages[-1]["offset"],
        "started_at": messages[0]["timestamp"],
        "last_message_at": messages[-1]["timestamp"],
        "messages": messages,
    }


def _another_sink() -> StoreUnavailable:
    return StoreUnavailable(
        "MongoDB: another sink wrote to the same sessions at this moment: tried again"
    )
