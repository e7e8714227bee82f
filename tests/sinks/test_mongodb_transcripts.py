"""Transcripts on a real server: split where they grow long, each message once whoever writes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import bson
from example_chat.conversation import SESSION, USER, said
from pymongo.asynchronous.database import AsyncDatabase

from agents.sink_records import made_record
from config.settings import MongodbSettings
from queries.mongodb import transcript
from schemas.chat import chat_adapter
from schemas.contract import encode
from schemas.errors import StoreUnavailable
from schemas.topics import CHAT
from servers.mongodb import new_database
from servers.store_server import StoreServer
from sinks.contract import SinkRecord
from sinks.mongodb import MongodbSink, connect
from sinks.mongodb_transcripts import COLLECTION, PART_MESSAGES, message_of


def told(*offsets: int, **fields: Any) -> list[SinkRecord]:
    entries = [said(offset, f"message {offset}", **fields) for offset in offsets]
    return [
        made_record(CHAT, 0, entry.id, USER.encode(), encode(entry.record)) for entry in entries
    ]


async def write(settings: MongodbSettings, *batches: Sequence[SinkRecord]) -> None:
    sink = MongodbSink(settings)
    await sink.setup()
    try:
        for batch in batches:
            for _ in range(20):
                try:
                    await sink.write(batch)
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0)
            else:
                raise AssertionError("never written")
    finally:
        await sink.close()


async def texts(database: AsyncDatabase[dict[str, Any]]) -> list[str]:
    return [m["message_text"] for m in await transcript(database, USER.upper(), SESSION)]


def test_the_largest_messages_fit_into_a_document() -> None:
    widest = "\U0001f600"
    tags = [f"{n:02}{widest * 253}" for n in range(32)]
    (record,) = told(
        1,
        message_text=widest * 8_000,
        feedback_flags=tags,
        searchable_tags=tags,
        related_skill=widest * 255,
        related_objective=widest * 255,
        contextual_topic_id=widest * 255,
    )
    chat_adapter.validate_python(record.value)
    size = len(bson.encode(message_of(record)))
    assert 100_000 < size < 16 * 1024 * 1024 / PART_MESSAGES


async def test_a_long_session_is_split_and_read_as_one(
    mongodb_server: StoreServer,
) -> None:
    length = 2 * PART_MESSAGES + 30
    with new_database(mongodb_server) as settings:
        database = connect(settings)
        batches = [told(*range(at, min(at + 77, length))) for at in range(0, length, 50)]
        await write(settings, *batches)
        assert await texts(database) == [f"message {n}" for n in range(length)]
        parts = [part async for part in database[COLLECTION].find().sort("part")]
        assert [part["count"] for part in parts] == [PART_MESSAGES, PART_MESSAGES, 30]
        assert [len(part["messages"]) for part in parts] == [part["count"] for part in parts]
        assert parts[0]["_id"] == f"{USER}/{SESSION}/0"
        assert parts[1]["started_at"] == parts[1]["messages"][0]["timestamp"]
        await database.client.close()


async def test_two_sinks_at_once_write_each_message_once(mongodb_server: StoreServer) -> None:
    length = PART_MESSAGES + 50
    with new_database(mongodb_server) as settings:
        database = connect(settings)
        batches = [told(*range(at, at + 25)) for at in range(0, length, 25)]
        await asyncio.gather(*(write(settings, *batches) for _ in range(3)))
        assert await texts(database) == [f"message {n}" for n in range(length)]
        await database.client.close()


async def test_sessions_of_one_name_are_their_learners_own(mongodb_server: StoreServer) -> None:
    other = "7c1d5a52-3c0e-4f51-8b1c-0d6c5a1f2b3a"
    with new_database(mongodb_server) as settings:
        database = connect(settings)
        await write(settings, [*told(0), *told(1, user_id=other), *told(2)])
        assert await texts(database) == ["message 0", "message 2"]
        assert len(await transcript(database, other, SESSION)) == 1
        assert await transcript(database, other, "elsewhere") == []
        await database.client.close()
