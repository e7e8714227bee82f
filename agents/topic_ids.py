"""The ids that Kafka gives topics, by which one that was made anew is told from the one before.

Asked in a version of Metadata that aiokafka does not have, as in Kafka's
``clients/src/main/resources/common/message``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from io import BytesIO
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32

from agents.flexible_schema import Flexible

_METADATA, _VERSION = 3, 12
_text = CompactString("utf-8")


class _Uuid:
    @staticmethod
    def encode(value: uuid.UUID) -> bytes:
        return value.bytes

    @staticmethod
    def decode(data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))


class _TopicIdsResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = _METADATA
    API_VERSION = _VERSION
    SCHEMA = Flexible(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                Flexible(("node_id", Int32), ("host", _text), ("port", Int32), ("rack", _text))
            ),
        ),
        ("cluster_id", _text),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                Flexible(
                    ("error_code", Int16),
                    ("name", _text),
                    ("topic_id", _Uuid),
                    ("is_internal", Boolean),
                    (
                        "partitions",
                        CompactArray(
                            Flexible(
                                ("error_code", Int16),
                                ("partition", Int32),
                                ("leader", Int32),
                                ("leader_epoch", Int32),
                                ("replicas", CompactArray(Int32)),
                                ("isr", CompactArray(Int32)),
                                ("offline", CompactArray(Int32)),
                            )
                        ),
                    ),
                    ("authorized_operations", Int32),
                )
            ),
        ),
    )


class _TopicIdsRequestStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = _METADATA
    API_VERSION = _VERSION
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _TopicIdsResponse
    SCHEMA = Flexible(
        ("topics", CompactArray(Flexible(("topic_id", _Uuid), ("name", _text)))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _TopicIdsRequest(Request[_TopicIdsRequestStruct]):  # type: ignore[misc]
    API_KEY = _METADATA

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = [(uuid.UUID(int=0), topic) for topic in topics]

    def build(self, request_struct_class: type[_TopicIdsRequestStruct]) -> _TopicIdsRequestStruct:
        return request_struct_class(self._topics, False, False)


async def topic_ids(client: AIOKafkaClient, topics: Iterable[str]) -> dict[str, uuid.UUID]:
    """The id of each topic that is there; none from a Kafka that has no such ids (before 2.8)."""
    node_id = client.get_random_node()
    try:
        answer: Any = await client.send(node_id, _TopicIdsRequest(topics))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return {}
    return {name: topic_id for code, name, topic_id, *_ in answer.topics if code == 0}
