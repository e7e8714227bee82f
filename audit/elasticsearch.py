"""What must stand in Elasticsearch, and what does: every event and chat message, field by field."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

from audit.rows import Row, plain
from config.settings import ElasticsearchSettings
from sinks.contract import SinkRecord
from sinks.elasticsearch import ElasticsearchSink
from sinks.elasticsearch_client import answering, connect, hits
from sinks.elasticsearch_indices import CONVERSATIONS, INTERACTIONS

_TABLES = {"interactions": INTERACTIONS, "conversations": CONVERSATIONS}


class ElasticsearchAudit:
    """Compares the whole record, field by field, with ``_source``.

    ``_source`` holds only fields that the index has (another is refused), and times as they were
    told, to the microsecond.
    """

    name = ElasticsearchSink.name
    topics = ElasticsearchSink.topics
    tables: tuple[str, ...] = tuple(_TABLES)

    def __init__(self, settings: ElasticsearchSettings) -> None:
        self._settings = settings

    def expected(self, record: SinkRecord) -> Iterator[Row]:
        """One document for an event that is no chat message, and one for a chat record."""
        for table, index in _TABLES.items():
            value = record.value
            if record.topic == index.topic and value is not None and index.takes(value):
                yield Row(table, index.id_of(value), plain(value))

    async def stored(self) -> AsyncIterator[Row]:
        """Every document as the indices are now, in their own order."""
        client = connect(self._settings)
        try:
            for table, index in _TABLES.items():
                alias = index.alias(self._settings)
                with answering(client):
                    await client.indices.refresh(index=alias)
                everything = hits(client, alias, lambda: {"match_all": {}})
                async with aclosing(everything) as found:
                    async for hit in found:
                        yield Row(table, hit["_id"], plain(hit["_source"]))
        finally:
            await client.close()
