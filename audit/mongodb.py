"""What MongoDB holds, against what the topics say: the latest state of each key, field by field.

BSON dates are whole milliseconds, so both sides are compared in those.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime

from audit.rows import Row, plain
from config.settings import MongodbSettings
from sinks.contract import SinkRecord
from sinks.mongodb import MongodbSink, connect, mongodb_errors
from sinks.mongodb_documents import COLLECTIONS, mapped_times, state_of


class MongodbAudit:
    """Every field that a document has is compared, also one that no state has."""

    name = MongodbSink.name
    topics = MongodbSink.topics
    tables: tuple[str, ...] = tuple(collection.name for collection in COLLECTIONS.values())

    def __init__(self, settings: MongodbSettings) -> None:
        self._settings = settings

    def expected(self, record: SinkRecord) -> Iterator[Row]:
        """The whole state, its times cut to milliseconds."""
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
        finally:
            await database.client.close()


def _whole_milliseconds(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
