"""What must stand in Elasticsearch, and what does: every event but chat, with all its fields."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

from audit.rows import Row, plain
from config.settings import ElasticsearchSettings
from schemas.topics import EVENTS
from sinks.contract import SinkRecord
from sinks.elasticsearch import CHAT, interaction_id
from sinks.elasticsearch_client import answering, connect, hits

_TABLE = "interactions"


class ElasticsearchAudit:
    """Compares the whole event, field by field, with ``_source``.

    ``_source`` holds only fields that the index has (another is refused), and times as they were
    told, to the microsecond.
    """

    name = "elasticsearch"
    topics: tuple[str, ...] = (EVENTS,)
    tables: tuple[str, ...] = (_TABLE,)

    def __init__(self, settings: ElasticsearchSettings) -> None:
        self._settings = settings

    def expected(self, record: SinkRecord) -> Iterator[Row]:
        """One document for an event, none for a chat message."""
        if record.value is not None and record.value["type"] != CHAT:
            yield Row(_TABLE, interaction_id(record.value), plain(record.value))

    async def stored(self) -> AsyncIterator[Row]:
        """Every document as the index is now, in its own order."""
        client = connect(self._settings)
        try:
            with answering(client):
                await client.indices.refresh(index=self._settings.index)
            everything = hits(client, self._settings.index, lambda: {"match_all": {}})
            async with aclosing(everything) as found:
                async for hit in found:
                    yield Row(_TABLE, hit["_id"], plain(hit["_source"]))
        finally:
            await client.close()
