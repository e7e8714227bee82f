"""Ids derived from their cause: the same event always makes the same id."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha1

_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


def made_at(event_id: str, user_id: str, occurred_at: datetime, name: str) -> str:
    """The id of what is made of a learner's event: `derived_id`, and another one if the same
    ``event_id`` comes of another learner or on another day (UTC), which is another event
    (`streams.seen`)."""
    return derived_id(event_id, f"{name} {user_id} {occurred_at.date()}")


def derived_id(event_id: str, name: str) -> str:
    """UUIDv5 (RFC 9562) of ``name`` in the namespace ``event_id``, a hyphenated UUID.

    The same as ``uuid.uuid5``, without its objects: one is made for nearly every event.
    """
    namespace = bytes.fromhex(event_id.replace("-", ""))
    h = sha1(namespace + name.encode(), usedforsecurity=False).hexdigest()
    return f"{h[:8]}-{h[8:12]}-5{h[13:16]}-{_VARIANT[h[16]]}{h[17:20]}-{h[20:32]}"
