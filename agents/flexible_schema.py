"""The newer way in which Kafka writes requests and answers, for versions that aiokafka lacks."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from aiokafka.protocol.types import Schema, TaggedFields


class Flexible(Schema):  # type: ignore[misc]  # aiokafka has no types
    """Of a flexible version: tagged fields, of which we send none, are passed over."""

    def encode(self, item: Any) -> bytes:
        return bytes(super().encode(item)) + b"\x00"

    def decode(self, data: BytesIO) -> tuple[Any, ...]:
        fields: tuple[Any, ...] = super().decode(data)
        TaggedFields.decode(data)
        return fields
