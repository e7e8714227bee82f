"""Elasticsearch: the interaction log and the conversations, one document for each record.

An index is an alias of ``<alias>-1``: so it can be rebuilt beside the old one, and one that was
deleted is missed, not made anew by Elasticsearch with field types of its own guessing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from elasticsearch import AsyncElasticsearch, BadRequestError

from config.settings import ElasticsearchSettings
from schemas.errors import InvalidSetting, RecordRefused, StoreUnavailable
from sinks.contract import SinkRecord
from sinks.elasticsearch_client import answering, connect, reason_of, said
from sinks.elasticsearch_indices import INDICES, Index

_BULK_BYTES = 5_000_000
_KEPT = {200, 201, 409}  # 409: it stands there already
_REFUSED = {400, 413}
_ASK = "items.create.status,items.create.error.reason,items.create.error.caused_by.reason"


class ElasticsearchSink:
    """Writes events and chat messages in bulk, by id; what stands there is never replaced.

    Searches see a document within a second (``index.refresh_interval``); it is durable at once.
    """

    name = "elasticsearch"
    topics: tuple[str, ...] = tuple(index.topic for index in INDICES)

    def __init__(self, settings: ElasticsearchSettings) -> None:
        self._settings = settings
        self._client: AsyncElasticsearch | None = None

    async def setup(self) -> None:
        """Connects; makes the indices, or the fields that an older one lacks.

        Raises:
            StoreUnavailable: nobody answers, or the store lets nobody in.
            InvalidSetting: no index can be made so, or the one that is there has other types.
        """
        if self._client is None:
            self._client = connect(self._settings)
        with answering(self._client):
            for index in INDICES:
                if not await self._client.indices.exists_alias(name=index.alias(self._settings)):
                    alias = index.alias(self._settings)
                    await create_index(self._client, self._settings, index, alias, f"{alias}-1")
                await self._add_missing_fields(self._client, index)

    async def write(self, batch: Sequence[SinkRecord]) -> None:
        """Keeps the first telling of each event; see `sinks.contract.Sink.write`."""
        assert self._client is not None, "setup() comes first"  # noqa: S101
        for index in INDICES:
            for operations in _requests(_first_tellings(batch, index)):
                with answering(self._client):
                    answer = await self._client.bulk(
                        index=index.alias(self._settings),
                        operations=operations,
                        require_alias=True,
                        filter_path=_ASK,
                    )
                self._judge([item["create"] for item in answer["items"]])

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _add_missing_fields(self, client: AsyncElasticsearch, index: Index) -> None:
        found = await client.indices.get_mapping(index=index.alias(self._settings))
        for name_there, described in found.items():
            there = described["mappings"].get("properties", {})
            types = {name: field.get("type", "object") for name, field in there.items()}
            for name, field in index.fields.items():
                if types.get(name, field["type"]) != field["type"]:
                    raise InvalidSetting(
                        f"Elasticsearch's index {name_there} has {name} as {types[name]}, not "
                        f"{field['type']}: give LEARNER_ELASTICSEARCH__{index.setting.upper()} "
                        "another name, or rebuild it"
                    )
            if missing := index.fields.keys() - types.keys():
                properties = index.properties(self._settings)
                added = {name: properties[name] for name in missing}
                await client.indices.put_mapping(index=name_there, properties=added)

    def _judge(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Raises what the first item that was not kept asks for; one to try again comes first."""
        failed = [item for item in items if item["status"] not in _KEPT]
        for item in failed:
            if item["status"] not in _REFUSED:
                raise StoreUnavailable(
                    f"Elasticsearch at {self._settings.url} did not keep a document "
                    f"({item['status']}): {reason_of(item['error'])}"
                )
        for item in failed:
            raise RecordRefused(f"Elasticsearch: {reason_of(item['error'])}")


async def create_index(
    client: AsyncElasticsearch,
    settings: ElasticsearchSettings,
    index: Index,
    alias: str,
    name: str,
) -> None:
    """One of our indices, ``name``, under an alias; none if there is one of that name.

    Raises:
        InvalidSetting: no index can be made so.
    """
    try:
        await client.indices.create(
            index=name,
            aliases={alias: {"is_write_index": True}},
            settings={"number_of_shards": 1, "auto_expand_replicas": "0-1"},
            mappings={"dynamic": "strict", "properties": index.properties(settings)},
        )
    except BadRequestError as error:
        if error.error != "resource_already_exists_exception":  # another was quicker
            raise InvalidSetting(
                f"Elasticsearch makes no index by LEARNER_ELASTICSEARCH__"
                f"{index.setting.upper()}={alias} and LEARNER_ELASTICSEARCH__ANALYZER="
                f"{settings.analyzer}: {said(error)}"
            ) from None


def _first_tellings(batch: Iterable[SinkRecord], index: Index) -> Iterable[tuple[str, SinkRecord]]:
    """One record for each id: were a repeat kept while the first has to be tried again, it would
    stay."""
    first: dict[str, SinkRecord] = {}
    for record in batch:
        if record.topic == index.topic and record.value is not None and index.takes(record.value):
            kept = first.setdefault(id_ := index.id_of(record.value), record)
            if record.offset < kept.offset:
                first[id_] = record
    return first.items()


def _requests(tellings: Iterable[tuple[str, SinkRecord]]) -> Iterator[list[Any]]:
    """Bulk operations as bytes, which go out as they are; `_BULK_BYTES` at most in each request."""
    operations: list[bytes] = []
    size = 0
    for id_, record in tellings:
        action = orjson.dumps({"create": {"_id": id_}})
        more = len(action) + len(record.raw) + 2
        if operations and size + more > _BULK_BYTES:
            yield operations
            operations, size = [], 0
        operations += (action, record.raw)
        size += more
    if operations:
        yield operations
