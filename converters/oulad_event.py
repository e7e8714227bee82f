"""An event made from OULAD: its ids, its time, its bytes behind the key to sort by."""

from __future__ import annotations

from hashlib import sha1
from typing import Any

import orjson

from converters.oulad_calendar import instant
from converters.oulad_course import Course

NAMESPACE = "5c7a4c62-6f53-5bd0-9d3e-5f0f4be0c1d4"
"""Of all ids made here: UUIDv5 of what they stand for."""

KEY_LENGTH = len("2013-02-01T00:00:00.000Z") + 36
"""Bytes before the event: its time and its id, by which it is sorted."""

_NAMESPACE_HASH = sha1(bytes.fromhex(NAMESPACE.replace("-", "")), usedforsecurity=False)
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


def derived_uuid(name: str) -> tuple[str, int]:
    """UUIDv5 of ``name`` in `NAMESPACE`, and 32 more bits of the hash: chance that repeats."""
    hashed = _NAMESPACE_HASH.copy()
    hashed.update(name.encode())
    h = hashed.hexdigest()
    uuid = f"{h[:8]}-{h[8:12]}-5{h[13:16]}-{_VARIANT[h[16]]}{h[17:20]}-{h[20:32]}"
    return uuid, int(h[32:], 16)


def keyed_event(  # noqa: PLR0913, PLR0917
    event_type: str, cause: str, student: str, course: Course, day: int, fields: dict[str, Any]
) -> bytes:
    """The keyed event; ``fields`` comes last, so it may replace ``source``."""
    event_id, chance = derived_uuid(f"{event_type}/{cause}")
    at = instant(event_type, course.start + day, chance)
    event = {
        "type": event_type,
        "event_id": event_id,
        "user_id": derived_uuid("student/" + student)[0],
        "course_id": course.course_id,
        "occurred_at": at,
        "source": "oulad",
        **fields,
    }
    return (at + event_id).encode() + orjson.dumps(event)
