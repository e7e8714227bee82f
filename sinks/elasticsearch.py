"""The interaction log in Elasticsearch: every event but chat, one document each, as it was told.

The index is an alias of ``<index>-1``: so it can be rebuilt beside the old one, and one that was
deleted is missed, not made anew by Elasticsearch with field types of its own guessing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from elasticsearch import AsyncElasticsearch, BadRequestError

from config.settings import ElasticsearchSettings
from schemas.errors import InvalidSetting, RecordRefused, StoreUnavailable
from schemas.topics import EVENTS
from sinks.contract import SinkRecord
from sinks.elasticsearch_client import answering, connect, reason_of, said

_TYPES = {
    "keyword": (
        "type event_id user_id course_id source traceparent "
        "session_id activity_type content_id content_type content_format module_id topic_id "
        "question_id skill_tag objective_tag flagged_type survey_id flagged_topics result "
        "tree_id label assigned_by decision_id strategy_label class_year learner_purpose "
        "format_preference "
        "session_preference ui_theme_preference layout_preference study_mode learner_level"
    ),
    # Microseconds count, so no `date`; from 1970 to 2262, and an event outside is refused.
    "date_nanos": "occurred_at",
    "double": (
        "score final_score confidence duration gpa format_comprehension_score_text "
        "format_comprehension_score_image format_comprehension_score_video"
    ),
    "long": (
        "module_index retries rating previous_attempts age courses_completed "
        "format_comfort_rating_text format_comfort_rating_image format_comfort_rating_video"
    ),
    "boolean": "hint_used",
    "flattened": "confidence_by_topic",  # its keys are the LMS's: fields of their own had no end
    "text": "text",
}
FIELDS: dict[str, str] = {name: type_ for type_, names in _TYPES.items() for name in names.split()}
"""Elasticsearch's type of each field of an event; another field is refused."""

CHAT = "chat.message"
"""Kept elsewhere, with its conversation."""

_BULK_BYTES = 5_000_000
_KEPT = {200, 201, 409}  # 409: it stands there already
_REFUSED = {400, 413}
_ASK = "items.create.status,items.create.error.reason,items.create.error.caused_by.reason"


def interaction_id(event: Mapping[str, Any]) -> str:
    """``_id`` of an event: the learner, its UTC day and its ``event_id``, so a repeat has the
    same."""
    return f"{event['user_id']}:{event['occurred_at'][:10]}:{event['event_id']}"


class ElasticsearchSink:
    """Writes ``learner.events`` in bulk, by id; what stands there is never replaced.

    Searches see a document within a second (``index.refresh_interval``); it is durable at once.
    """

    name = "elasticsearch"
    topics: tuple[str, ...] = (EVENTS,)

    def __init__(self, settings: ElasticsearchSettings) -> None:
        self._settings = settings
        self._client: AsyncElasticsearch | None = None

    async def setup(self) -> None:
        """Connects; makes the index, or the fields that an older one lacks.

        Raises:
            StoreUnavailable: nobody answers, or the store lets nobody in.
            InvalidSetting: no index can be made so, or the one that is there has other types.
        """
        if self._client is None:
            self._client = connect(self._settings)
        with answering(self._client):
            if not await self._client.indices.exists_alias(name=self._settings.index):
                await self._create(self._client)
            await self._add_missing_fields(self._client)

    async def write(self, batch: Sequence[SinkRecord]) -> None:
        """Keeps the first telling of each event; see `sinks.contract.Sink.write`."""
        assert self._client is not None, "setup() comes first"  # noqa: S101
        for operations in _requests(_first_tellings(batch)):
            with answering(self._client):
                answer = await self._client.bulk(
                    index=self._settings.index,
                    operations=operations,
                    require_alias=True,
                    filter_path=_ASK,
                )
            self._judge([item["create"] for item in answer["items"]])

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _create(self, client: AsyncElasticsearch) -> None:
        properties: dict[str, dict[str, str]] = {
            name: {"type": type_} for name, type_ in FIELDS.items()
        }
        properties["text"]["analyzer"] = self._settings.analyzer
        try:
            await client.indices.create(
                index=f"{self._settings.index}-1",
                aliases={self._settings.index: {"is_write_index": True}},
                settings={"number_of_shards": 1, "auto_expand_replicas": "0-1"},
                mappings={"dynamic": "strict", "properties": properties},
            )
        except BadRequestError as error:
            if error.error != "resource_already_exists_exception":  # another was quicker
                raise InvalidSetting(
                    f"Elasticsearch makes no index by LEARNER_ELASTICSEARCH__INDEX="
                    f"{self._settings.index} and LEARNER_ELASTICSEARCH__ANALYZER="
                    f"{self._settings.analyzer}: {said(error)}"
                ) from None

    async def _add_missing_fields(self, client: AsyncElasticsearch) -> None:
        found = await client.indices.get_mapping(index=self._settings.index)
        for index, described in found.items():
            there = described["mappings"].get("properties", {})
            types = {name: field.get("type", "object") for name, field in there.items()}
            for name, type_ in FIELDS.items():
                if types.get(name, type_) != type_:
                    raise InvalidSetting(
                        f"Elasticsearch's index {index} has {name} as {types[name]}, not "
                        f"{type_}: give LEARNER_ELASTICSEARCH__INDEX another name, or rebuild it"
                    )
            if missing := FIELDS.keys() - types.keys():
                added = {name: {"type": FIELDS[name]} for name in missing}
                await client.indices.put_mapping(index=index, properties=added)

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


def _first_tellings(batch: Iterable[SinkRecord]) -> Iterable[tuple[str, SinkRecord]]:
    """One record for each id: were a repeat kept while the first has to be tried again, it would
    stay."""
    first: dict[str, SinkRecord] = {}
    for record in batch:
        if record.value is not None and record.value["type"] != CHAT:
            kept = first.setdefault(id_ := interaction_id(record.value), record)
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
