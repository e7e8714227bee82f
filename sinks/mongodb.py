"""MongoDB: one document per learner across courses, one per learner and course, transcripts.

`learner_behavior` and `course_engagement` hold states as `sinks.mongodb_documents` says,
`chat_transcripts` conversations as `sinks.mongodb_transcripts` says. A newer
state takes an older one's place whole, by one guarded operation on the server, so two sinks at
once cannot mix or turn back anything. The client is pymongo's own (docs/decisions/0014).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.errors import InvalidDocument
from pymongo import AsyncMongoClient, ReplaceOne, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
)

from config.settings import MongodbSettings
from schemas.errors import InvalidSetting, RecordRefused, StoreUnavailable
from schemas.topics import CHAT
from sinks import mongodb_transcripts
from sinks.contract import SinkRecord
from sinks.mongodb_documents import COLLECTIONS, Document, document_of

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""MongoDB's own limit, in BSON."""

_NEVER_TOO_LARGE = 1024 * 1024
"""JSON this short makes no such document: BSON takes at most 13 bytes where JSON takes 2."""

_AT_ONCE = 250
"""Documents in one request, so that each is answered well within the timeout."""

_DUPLICATE = 11000
_FIND_SERVER_MS = 5_000

_AWAY = {
    1, 6, 7, 13, 18, 24, 43, 46, 50, 64, 79, 89, 91, 100, 112, 133, 134, 189, 262, 8000, 9001,
    10107, 11000, 11600, 11602, 13435, 13436, 14031,
}  # fmt: skip
"""Codes that time or an operator mends: shutting down, no primary, no majority, no lock, disk full,
not allowed in, made by another sink at the same moment."""

_OF_THE_RECORD = {2, 9, 14, 22, 52, 56, 57, 121, 10334, 17280, 17419, 17420}
"""Codes of a write that a document's own content led to: its size, a name, a validator."""


class MongodbSink:
    """Keeps the latest state of every learner, also in each course, and every conversation.

    ``suffix``: of its collections' names, if they are not the live ones.
    """

    name = "mongodb"
    topics: tuple[str, ...] = (*COLLECTIONS, CHAT)

    def __init__(self, settings: MongodbSettings, suffix: str = "") -> None:
        self._settings = settings
        self._suffix = suffix
        self._database: AsyncDatabase[Document] | None = None

    async def setup(self) -> None:
        """Connects and makes the indexes.

        Raises:
            StoreUnavailable: nobody answers, or the server lets nobody in.
            InvalidSetting: the address is none of MongoDB's.
        """
        if self._database is None:
            self._database = connect(self._settings)
        with mongodb_errors(self._database):
            await self._database.command("ping")
            for collection in COLLECTIONS.values():
                for field in collection.indexes:
                    await self._stored(self._database, collection.name).create_index(field)
            for field in mongodb_transcripts.INDEXES:
                transcripts = self._stored(self._database, mongodb_transcripts.COLLECTION)
                await transcripts.create_index(field)

    async def write(self, batch: Sequence[SinkRecord]) -> None:
        """Keeps the newest state of each key; a majority of the servers has it on disk.

        Raises:
            StoreUnavailable: try the same batch again later.
            RecordRefused: a document is larger than MongoDB takes, or its server refuses it.
        """
        assert self._database is not None, "setup() comes first"  # noqa: S101
        with mongodb_errors(self._database):
            for topic, collection in COLLECTIONS.items():
                last, deleted = _latest(batch, topic)
                documents = [
                    document_of(collection, record.key, record.value)
                    for record in last.values()
                    if record.value is not None
                ]
                _check_sizes(last, documents)
                stored = self._stored(self._database, collection.name)
                for at in range(0, len(deleted), _AT_ONCE):
                    await stored.delete_many({"_id": {"$in": deleted[at : at + _AT_ONCE]}})
                for at in range(0, len(documents), _AT_ONCE):
                    await _keep(stored, documents[at : at + _AT_ONCE])
            transcripts = self._stored(self._database, mongodb_transcripts.COLLECTION)
            said = [record for record in batch if record.topic == CHAT]
            for at in range(0, len(said), _AT_ONCE):
                await mongodb_transcripts.append(transcripts, said[at : at + _AT_ONCE])

    async def close(self) -> None:
        if self._database is not None:
            await self._database.client.close()
            self._database = None

    def _stored(self, database: AsyncDatabase[Document], name: str) -> AsyncCollection[Document]:
        return database[f"{name}{self._suffix}"]


def connect(settings: MongodbSettings) -> AsyncDatabase[Document]:
    """The database of the address (``learner`` if it names none); nothing is asked of it yet.

    Its writes are acknowledged by a majority and in the journal, its dates are read in UTC, and a
    request is tried once, within ``timeout_seconds``. Close it by ``client.close()``.

    Raises:
        InvalidSetting: the address is none of MongoDB's.
    """
    limit = round(settings.timeout_seconds * 1000)
    password = settings.password.get_secret_value() if settings.password else None
    try:
        client: AsyncMongoClient[Document] = AsyncMongoClient(
            settings.url,
            password=password,
            serverSelectionTimeoutMS=min(limit, _FIND_SERVER_MS),
            connectTimeoutMS=limit,
            socketTimeoutMS=limit,
            retryReads=False,
            retryWrites=False,
            appname="learner-stream",
        )
        database = client.get_default_database("learner")
    except (PyMongoError, ValueError) as error:
        raise _no_address(error) from None
    return database.with_options(
        codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
        write_concern=WriteConcern(w="majority", j=True, wtimeout=limit),
    )


@contextmanager
def mongodb_errors(database: AsyncDatabase[Document]) -> Iterator[None]:
    """The driver's errors as ours; those that nobody foresaw as they are."""
    try:
        yield
    except InvalidDocument as error:
        raise RecordRefused(f"MongoDB takes no such document: {_short(error)}") from None
    except OverflowError as error:
        raise RecordRefused(f"MongoDB takes no such number: {_short(error)}") from None
    except ConfigurationError as error:
        raise _no_address(error) from None
    except ConnectionFailure as error:
        raise _away(database, error) from None
    except BulkWriteError as error:
        details = error.details or {}
        refused = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
        for one in refused:
            if one["code"] not in _OF_THE_RECORD | _AWAY:
                raise
        # What may pass is tried again first; then the refused one is alone with its reason.
        for one in refused:
            if one["code"] in _AWAY:
                raise _away(database, one["errmsg"]) from None
        raise RecordRefused(f"MongoDB refused it: {_short(refused[0]['errmsg'])}") from None
    except OperationFailure as error:
        if error.code not in _AWAY and not error.has_error_label("RetryableWriteError"):
            raise
        raise _away(database, error) from None


def _latest(batch: Sequence[SinkRecord], topic: str) -> tuple[dict[str, SinkRecord], list[str]]:
    """The newest record of each key of a topic, and the keys that were deleted on the way."""
    last: dict[str, SinkRecord] = {}
    deleted: dict[str, None] = {}
    for record in batch:
        if record.topic != topic:
            continue
        before = last.get(record.key)
        if record.value is None:
            deleted[record.key] = None
        elif before and before.value and before.value["offset"] > record.value["offset"]:
            continue
        last[record.key] = record
    return last, list(deleted)


def _check_sizes(last: dict[str, SinkRecord], documents: list[Document]) -> None:
    """FerretDB and old servers would take more, so the limit is ours, and the same everywhere."""
    for document in documents:
        if len(last[document["_id"]].raw) > _NEVER_TOO_LARGE:
            size = len(bson.encode(document))
            if size > MAX_DOCUMENT_BYTES:
                raise RecordRefused(
                    f"a document of {size:,} bytes is larger than MongoDB's {MAX_DOCUMENT_BYTES:,}"
                )


async def _keep(stored: AsyncCollection[Document], documents: list[Document]) -> None:
    """1. looks which are there, 2. inserts the new ones, 3. replaces the older ones.

    Only the third guards against an older state, so whatever was there in the second goes
    through it as well. (An upsert with a filter on the offset would do all in one, but for a
    newer document it is a duplicate key, which is an error of the whole batch.)
    """
    ids = [document["_id"] for document in documents]
    found = stored.find({"_id": {"$in": ids}}, {"offset": 1}, batch_size=len(ids))
    offsets = {document["_id"]: document["offset"] async for document in found}
    new = [document for document in documents if document["_id"] not in offsets]
    older = [
        document
        for document in documents
        if offsets.get(document["_id"], document["offset"]) < document["offset"]
    ]
    older += await _insert(stored, new)
    if older:
        await stored.bulk_write([_if_newer(document) for document in older], ordered=False)


def _if_newer(document: Document) -> ReplaceOne[Document]:
    return ReplaceOne({"_id": document["_id"], "offset": {"$lt": document["offset"]}}, document)


async def _insert(stored: AsyncCollection[Document], new: list[Document]) -> list[Document]:
    """Those that were there by then."""
    if not new:
        return []
    try:
        await stored.insert_many(new, ordered=False)
    except BulkWriteError as error:
        details = error.details or {}
        failed = details.get("writeErrors", [])
        if details.get("writeConcernErrors") or {one["code"] for one in failed} != {_DUPLICATE}:
            raise
        return [new[one["index"]] for one in failed]
    return []


def _no_address(error: Exception) -> InvalidSetting:
    return InvalidSetting(f"mongodb.url (LEARNER_MONGODB__URL): {_short(error)}")


def _away(database: AsyncDatabase[Any], said: object) -> StoreUnavailable:
    servers = database.client.topology_description.server_descriptions()
    where = ", ".join(f"{host}:{port}" for host, port in servers)
    return StoreUnavailable(
        f"MongoDB at {where} does not answer: {_short(said)}. "
        "Check that it runs and that LEARNER_MONGODB__URL and its PASSWORD are right"
    )


def _short(said: object) -> str:
    """The first line, without the driver's account of all it knows."""
    lines = str(said).partition(", Topology Description:")[0].splitlines() or [""]
    return lines[0][:500]
