"""Which features a Kafka cluster has in force, asked in a version that aiokafka does not have."""

from __future__ import annotations

from io import BytesIO
from typing import Any

# aiokafka has no types: hence "type: ignore". Names are as it has its own.
from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from agents.flexible_schema import Flexible

_text = CompactString("utf-8")
_FINALIZED = 2  # the tag of the features in force
_FEATURES = CompactArray(Flexible(("name", _text), ("max_version", Int16), ("min_version", Int16)))


class FeaturesResponse_v3(Response):  # type: ignore[misc]
    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "api_versions",
            CompactArray(
                Flexible(("api_key", Int16), ("min_version", Int16), ("max_version", Int16))
            ),
        ),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


class FeaturesRequest_v3(RequestStruct):  # type: ignore[misc]
    API_KEY = 18
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = FeaturesResponse_v3
    SCHEMA = Flexible(("client_software_name", _text), ("client_software_version", _text))

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> Any:
        return ResponseHeader_v0.decode(read_buffer)  # of this one answer alone it is the old one


class FeaturesRequest(Request[FeaturesRequest_v3]):  # type: ignore[misc]
    """ApiVersions (18): which requests a broker takes, and the features in force."""

    API_KEY = 18

    def build(self, request_struct_class: type[FeaturesRequest_v3]) -> FeaturesRequest_v3:
        return request_struct_class("learner-stream", "1")


def features_of(answer: Any) -> dict[str, int]:
    """The level of each feature in force, e.g. ``transaction.version``."""
    raw = answer.tags.get(_FINALIZED)
    return (
        {}
        if raw is None
        else {name: level for name, level, _ in _FEATURES.decode(BytesIO(raw)) or ()}
    )
