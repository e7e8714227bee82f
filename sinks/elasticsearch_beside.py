"""Elasticsearch rebuilt in indices beside the live ones; then the aliases lead to the new ones.

The new indices have the alias ``<alias>-rebuild`` until then, the old ones ``<alias>-before-<UTC
time>`` afterwards. While they change places the old ones take no writes, and stay so. Should a
rebuild be killed in just that second, they take none until the next rebuild, which opens them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from elasticsearch import AsyncElasticsearch

from config.settings import ElasticsearchSettings
from sinks.beside import KeptOut, stamp
from sinks.elasticsearch import ElasticsearchSink, create_index
from sinks.elasticsearch_client import answering, connect
from sinks.elasticsearch_indices import INDICES, INTERACTIONS, Index

_CLOSED = "index.blocks.write"


class ElasticsearchBeside:
    """Both indices together."""

    name = ElasticsearchSink.name
    kept_out = KeptOut.LOCKED

    def __init__(self, settings: ElasticsearchSettings) -> None:
        self._settings = settings
        self._client: AsyncElasticsearch | None = None

    async def oldest(self) -> datetime | None:
        found = []
        client = self._connected()
        with answering(client):
            for index in INDICES:
                alias = index.alias(self._settings)
                if not await client.indices.exists_alias(name=alias):
                    continue
                await client.indices.refresh(index=alias)
                time = "occurred_at" if index is INTERACTIONS else "timestamp"
                answer = await client.search(
                    index=alias, size=1, sort=[{time: "asc"}], source={"includes": [time]}
                )
                found += [
                    datetime.fromisoformat(h["_source"][time]) for h in answer["hits"]["hits"]
                ]
        return min(found, default=None)

    async def begin(self) -> ElasticsearchSink:
        client = self._connected()
        made = stamp(datetime.now(UTC))
        with answering(client):
            for index in INDICES:
                for left in await _behind(client, self._new(index)):
                    await client.indices.delete(index=left)
                for live in await _behind(client, index.alias(self._settings)):
                    await _open(client, live)
                alias = index.alias(self._settings)
                name = f"{alias}-{made}"
                await create_index(client, self._settings, index, self._new(index), name)
        new = {index.setting: self._new(index) for index in INDICES}
        return ElasticsearchSink(self._settings.model_copy(update=new))

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        client = self._connected()
        with answering(client):
            closed = [
                name
                for index in INDICES
                for name in await _behind(client, index.alias(self._settings))
            ]
            try:
                for name in closed:
                    # Once it is answered, writes that were under way have come to their end.
                    await client.indices.add_block(index=name, block="write")
                yield
            except BaseException:
                for name in closed:
                    await _open(client, name)
                raise

    async def switch(self) -> str:
        """All of it in one step of the cluster."""
        client = self._connected()
        before = stamp(datetime.now(UTC))
        actions: list[dict[str, Any]] = []
        for index in INDICES:
            alias = index.alias(self._settings)
            for old in await _behind(client, alias):
                actions.append({"remove": {"index": old, "alias": alias}})
                actions.append({"add": {"index": old, "alias": f"{alias}-before-{before}"}})
            for new in await _behind(client, self._new(index)):
                actions.append({"remove": {"index": new, "alias": self._new(index)}})
                live = {"index": new, "alias": alias, "is_write_index": True}
                actions.append({"add": live})
        await client.indices.update_aliases(actions=actions)
        return f"{INTERACTIONS.alias(self._settings)}-before-{before}"

    async def old(self) -> list[str]:
        """By the aliases of the interactions; those of the conversations go with them."""
        client = self._connected()
        alias = INTERACTIONS.alias(self._settings)
        with answering(client):
            return sorted(await _aliases(client, f"{alias}-before-*"))

    async def drop_old(self, name: str) -> None:
        client = self._connected()
        before = name.removeprefix(INTERACTIONS.alias(self._settings))
        with answering(client):
            for index in INDICES:
                for old in await _behind(client, index.alias(self._settings) + before):
                    await client.indices.delete(index=old)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _connected(self) -> AsyncElasticsearch:
        if self._client is None:
            self._client = connect(self._settings)
        return self._client

    def _new(self, index: Index) -> str:
        return f"{index.alias(self._settings)}-rebuild"


async def _behind(client: AsyncElasticsearch, alias: str) -> list[str]:
    """The indices that an alias leads to."""
    if not await client.indices.exists_alias(name=alias):
        return []
    return sorted(await client.indices.get_alias(name=alias))


async def _aliases(client: AsyncElasticsearch, pattern: str) -> set[str]:
    if not await client.indices.exists_alias(name=pattern):
        return set()
    found = await client.indices.get_alias(name=pattern)
    return {alias for described in found.values() for alias in described["aliases"]}


async def _open(client: AsyncElasticsearch, name: str) -> None:
    await client.indices.put_settings(index=name, settings={_CLOSED: None})
