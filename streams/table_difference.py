"""What has to be written so that tables that stand somewhere are those that a replay has made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from streams.tables import TableValue, encode_value


class Correction(NamedTuple):
    """``value``: what must stand under the key; ``None``: nothing must. ``kind``: what was wrong
    there."""

    table: str
    key: str
    value: bytes | None
    kind: Literal["missing", "extra", "different"]


def corrections(
    stored: Mapping[str, Mapping[str, bytes]],
    must: Mapping[str, Mapping[str, TableValue]],
) -> Iterator[Correction]:
    """By table and key, in the order of their names; nothing of what is right already."""
    for table, values in must.items():
        rows = stored[table]
        for key in sorted(rows.keys() | values.keys()):
            if key not in values:
                yield Correction(table, key, None, "extra")
                continue
            value = encode_value(values[key])
            if key not in rows:
                yield Correction(table, key, value, "missing")
            elif rows[key] != value:
                yield Correction(table, key, value, "different")
