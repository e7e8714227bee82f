"""The four tables as the step sees them: read by key, written into an overlay.

Keys: ``user_id``; ``user_id|course_id`` (a user id has a fixed length, so nothing is ambiguous);
``user_id|day|page``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from schemas.behavior import Behavior
from schemas.contract import encode
from schemas.engagement import Engagement
from schemas.profile import Profile

TableValue = Profile | Behavior | Engagement | bytes
TABLE_NAMES = ("profile", "behavior", "engagement", "seen")


class Tables(Protocol):
    """The read side of one partition's tables; ``None`` where there is no value."""

    def profile(self, key: str) -> Profile | None: ...

    def behavior(self, key: str) -> Behavior | None: ...

    def engagement(self, key: str) -> Engagement | None: ...

    def seen(self, key: str) -> bytes | None: ...


class Overlay:
    """What a batch has written so far, over the tables it started from.

    ``changed[table][key]`` is the new value; ``None`` (in ``seen`` only) deletes the key.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._profile: dict[str, Profile] = {}
        self._behavior: dict[str, Behavior] = {}
        self._engagement: dict[str, Engagement] = {}
        self._seen: dict[str, bytes | None] = {}
        self.changed: dict[str, Mapping[str, TableValue | None]] = {
            "profile": self._profile,
            "behavior": self._behavior,
            "engagement": self._engagement,
            "seen": self._seen,
        }

    def profile(self, key: str) -> Profile | None:
        return self._profile.get(key) or self._tables.profile(key)

    def behavior(self, key: str) -> Behavior | None:
        return self._behavior.get(key) or self._tables.behavior(key)

    def engagement(self, key: str) -> Engagement | None:
        return self._engagement.get(key) or self._tables.engagement(key)

    def seen(self, key: str) -> bytes | None:
        return self._seen[key] if key in self._seen else self._tables.seen(key)

    def put_profile(self, key: str, value: Profile) -> None:
        self._profile[key] = value

    def put_behavior(self, key: str, value: Behavior) -> None:
        self._behavior[key] = value

    def put_engagement(self, key: str, value: Engagement) -> None:
        self._engagement[key] = value

    def put_seen(self, key: str, value: bytes | None) -> None:
        self._seen[key] = value


class MemoryTables:
    """All four tables in dictionaries: replay's, and the tests'."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, TableValue]] = {name: {} for name in TABLE_NAMES}

    def profile(self, key: str) -> Profile | None:
        return self.values["profile"].get(key)  # type: ignore[return-value]

    def behavior(self, key: str) -> Behavior | None:
        return self.values["behavior"].get(key)  # type: ignore[return-value]

    def engagement(self, key: str) -> Engagement | None:
        return self.values["engagement"].get(key)  # type: ignore[return-value]

    def seen(self, key: str) -> bytes | None:
        return self.values["seen"].get(key)  # type: ignore[return-value]

    def apply(self, changed: Mapping[str, Mapping[str, TableValue | None]]) -> None:
        """Takes a batch's changes over."""
        for table, changes in changed.items():
            values = self.values[table]
            for key, value in changes.items():
                if value is None:
                    values.pop(key, None)
                else:
                    values[key] = value


def encode_value(value: TableValue) -> bytes:
    """A table value as it stands in the changelog: JSON, or the ids of a page as they are."""
    return value if isinstance(value, bytes) else encode(value)


_DECODE: dict[str, Callable[[bytes], TableValue]] = {
    "profile": msgspec.json.Decoder(Profile).decode,
    "behavior": msgspec.json.Decoder(Behavior).decode,
    "engagement": msgspec.json.Decoder(Engagement).decode,
    "seen": bytes,
}


def decode_value(table: str, raw: bytes) -> TableValue:
    """The value of a changelog record: its fields, their types and ranges checked.

    Raises:
        msgspec.MsgspecError: the bytes are no value of that table.
    """
    return _DECODE[table](raw)
