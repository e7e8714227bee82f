"""What MongoDB holds, against what the topics say: the latest state of each key, field by field.

BSON dates are whole milliseconds, so both sides are compared in those.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime

from audit.rows import Row, plain
from config.settings import MongodbSettings
from schemas.topics import CHAT
from sinks import mongodb_transcripts
from sinks.contract import SinkRecord
from sinks.mongodb import MongodbSink, connect, mongodb_errors
from sinks.mongodb_documents import COLLECTIONS, Document, mapped_times, state_of
from sinks.mongodb_transcripts import message_of, session_of


class MongodbAudit:
    """Every field that a document has is compared, also one that no state has."""

    name = MongodbSink.name
    topics = MongodbSink.topics
    tables: tuple[str, ...] = (
        *(collection.name for collection in COLLECTIONS.values()),
        mongodb_transcripts.COLLECTION,
    )

    def __init__(self, settings: MongodbSettings) -> None:
        self._settings = settings

    def expected(self, record: SinkRecord) -> Iterator[Row]:
        """The whole state, its times cut to milliseconds; of a transcript each message."""
        if record.topic == CHAT and record.value is not None:
            message = {**message_of(record), "offset": True}
            message["timestamp"] = _whole_milliseconds(record.value["timestamp"])
            yield _message(session_of(record.value), message)
            return
        collection = COLLECTIONS[record.topic]
        if record.value is None:
            yield Row(collection.name, record.key, None)
            return
        values = mapped_times(record.value, collection.times, _whole_milliseconds)
        yield Row(collection.name, record.key, plain(values))

    async def stored(self) -> AsyncIterator[Row]:
        """Document by document, names as the LMS told them.

        Raises:
            StoreUnavailable: nobody answers.
        """
        database = connect(self._settings)
        try:
            with mongodb_errors(database):
                for collection in COLLECTIONS.values():
                    async for document in database[collection.name].find():
                        state = state_of(collection, document)
                        yield Row(collection.name, document["_id"], plain(state))
                parts = database[mongodb_transcripts.COLLECTION].find()
                async for part in parts.sort([("session", 1), ("part", 1)]):
                    for message in in_order(part["messages"]):
                        yield _message(part["session"], message)
        finally:
            await database.client.close()


def in_order(messages: Sequence[Document]) -> Iterator[Document]:
    """Messages with ``offset`` replaced by whether it is above the one before: a replay of the log
    knows their order, not where they stand on the topic."""
    before = -1
    for message in messages:
        yield {**message, "offset": message["offset"] > before}
        before = message["offset"]


def _message(session: str, message: Document) -> Row:
    id_ = f"{session}/{message['timestamp']:%Y-%m-%d}/{message['event_id']}"
    return Row(mongodb_transcripts.COLLECTION, id_, plain(message))


def _whole_milliseconds(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
