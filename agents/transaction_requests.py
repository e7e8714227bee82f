"""Three requests of Kafka's protocol in versions that aiokafka does not have, on its own classes.

As in Kafka's ``clients/src/main/resources/common/message``: Produce 12, EndTxn 5, ApiVersions 3.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import EndTxnRequest
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactBytes,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

_PRODUCE, _API_VERSIONS, _END_TXN = 0, 18, 26
_FINALIZED_FEATURES = 2
"""The tag of an answer's field that holds them."""
_text = CompactString("utf-8")


class _Flexible(Schema):  # type: ignore[misc]  # aiokafka has no types
    """Of a flexible version: tagged fields, of which we send none, are passed over."""

    def encode(self, item: Any) -> bytes:
        return bytes(super().encode(item)) + b"\x00"

    def decode(self, data: BytesIO) -> tuple[Any, ...]:
        fields: tuple[Any, ...] = super().decode(data)
        TaggedFields.decode(data)
        return fields


class _ProduceResponse(Response):  # type: ignore[misc]
    API_KEY = _PRODUCE
    API_VERSION = 12
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                _Flexible(
                    ("topic", _text),
                    (
                        "partitions",
                        CompactArray(
                            _Flexible(
                                ("partition", Int32),
                                ("error_code", Int16),
                                ("offset", Int64),
                                ("timestamp", Int64),
                                ("log_start_offset", Int64),
                                (
                                    "record_errors",
                                    CompactArray(
                                        _Flexible(("batch_index", Int32), ("message", _text))
                                    ),
                                ),
                                ("error_message", _text),
                            )
                        ),
                    ),
                )
            ),
        ),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


class _ProduceStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = _PRODUCE
    API_VERSION = 12
    RESPONSE_TYPE = _ProduceResponse
    SCHEMA = Schema(
        ("transactional_id", _text),
        ("required_acks", Int16),
        ("timeout", Int32),
        (
            "topics",
            CompactArray(
                _Flexible(
                    ("topic", _text),
                    (
                        "partitions",
                        CompactArray(_Flexible(("partition", Int32), ("messages", CompactBytes))),
                    ),
                )
            ),
        ),
        ("tags", TaggedFields),
    )


class Produce(ProduceRequest):  # type: ignore[misc]  # aiokafka has no types
    def prepare(self, versions: dict[int, tuple[int, int]]) -> RequestStruct:
        return _ProduceStruct(
            self._transactional_id, self._required_acks, self._timeout, self._topics, {}
        )


class _EndTxnResponse(Response):  # type: ignore[misc]
    API_KEY = _END_TXN
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class _EndTxnStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = _END_TXN
    API_VERSION = 5
    RESPONSE_TYPE = _EndTxnResponse
    SCHEMA = Schema(
        ("transactional_id", _text),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("transaction_result", Boolean),
        ("tags", TaggedFields),
    )


class EndTxn(EndTxnRequest):  # type: ignore[misc]
    def prepare(self, versions: dict[int, tuple[int, int]]) -> RequestStruct:
        return _EndTxnStruct(
            self._transactional_id,
            self._producer_id,
            self._producer_epoch,
            self._transaction_result,
            {},
        )


class _ApiVersionsResponse(Response):  # type: ignore[misc]
    API_KEY = _API_VERSIONS
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "api_versions",
            CompactArray(
                _Flexible(("api_key", Int16), ("min_version", Int16), ("max_version", Int16))
            ),
        ),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


_FEATURES = CompactArray(_Flexible(("name", _text), ("highest", Int16), ("lowest", Int16)))


class _ApiVersionsStruct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = _API_VERSIONS
    API_VERSION = 3
    RESPONSE_TYPE = _ApiVersionsResponse
    SCHEMA = Schema(
        ("client_software_name", _text),
        ("client_software_version", _text),
        ("tags", TaggedFields),
    )

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> ResponseHeader_v0:
        return ResponseHeader_v0.decode(read_buffer)  # for this one it has no tags: KIP-511


class ApiVersions:
    """Asks which features the cluster has, of a broker that knows all three requests."""

    def prepare(self, versions: dict[int, tuple[int, int]]) -> RequestStruct:
        for struct in (_ApiVersionsStruct, _ProduceStruct, _EndTxnStruct):
            if versions.get(struct.API_KEY, (0, 0))[1] < struct.API_VERSION:
                raise IncompatibleBrokerVersion(f"{struct.__name__} is not known there")
        return _ApiVersionsStruct("learner", "1", {})


def finalized_features(response: Any) -> dict[str, int]:
    """The cluster's features and their levels, of an answer to `ApiVersions`."""
    raw = response.tags.get(_FINALIZED_FEATURES)
    levels = _FEATURES.decode(BytesIO(raw)) if raw else []
    return {name: highest for name, highest, _ in levels or ()}
