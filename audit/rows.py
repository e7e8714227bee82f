"""What a store holds, as rows that can be compared with what it must hold."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple, Protocol

import orjson

from sinks.contract import SinkRecord

_PLAIN = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC | orjson.OPT_NON_STR_KEYS


class Row(NamedTuple):
    """A row, document, key: ``values`` by name, in plain JSON types; ``None`` says it is deleted.

    ``id`` is unique in ``table``.
    """

    table: str
    id: str
    values: dict[str, Any] | None


class StoreAudit(Protocol):
    """How one store is audited; ``name`` and ``topics`` are its sink's, ``tables`` all it has."""

    @property
    def name(self) -> str: ...

    @property
    def topics(self) -> tuple[str, ...]: ...

    @property
    def tables(self) -> tuple[str, ...]: ...

    def expected(self, record: SinkRecord) -> Iterator[Row]:
        """The rows that a record leaves, each in place of what its id had; pure."""

    def stored(self) -> AsyncIterator[Row]:
        """Every row, read back from the store's own columns and fields, in any order.

        Raises:
            StoreUnavailable: nobody answers.
        """


def digest(values: dict[str, Any]) -> bytes:
    """16 bytes that are the same for the same values, in whatever order they stand."""
    return hashlib.blake2b(
        orjson.dumps(values, option=_PLAIN | orjson.OPT_SORT_KEYS), digest_size=16
    ).digest()


def plain(value: Any) -> Any:
    """Any row value in JSON's types: times and dates as text (``…Z``), UUIDs in lower case."""
    return orjson.loads(orjson.dumps(value, option=_PLAIN))
