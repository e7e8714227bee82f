"""Passages of a learner's earlier conversations, found in Elasticsearch."""

from __future__ import annotations

from collections.abc import Sequence

from config.settings import ElasticsearchSettings
from queries.elasticsearch_conversations import passages
from sinks.elasticsearch_client import connect

_SEARCHED_CHARACTERS = 500
"""Of the message: Elasticsearch refuses questions of too many words."""


class ElasticsearchPassages:
    """See `chat.context.Passages`."""

    def __init__(self, settings: ElasticsearchSettings) -> None:
        self._client = connect(settings)
        self._index = settings.conversations

    async def close(self) -> None:
        await self._client.close()

    async def find(self, user_id: str, session_id: str, text: str, most: int) -> Sequence[str]:
        words = text[:_SEARCHED_CHARACTERS]
        return await passages(self._client, self._index, user_id, session_id, words, most)
