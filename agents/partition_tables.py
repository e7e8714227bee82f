"""The four tables of one source partition in memory: bytes underneath, decoded values above. On
disk: `agents.disk_tables`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar

from schemas.behavior import Behavior
from schemas.engagement import Engagement
from schemas.errors import InvalidRecord
from schemas.profile import Profile
from streams.tables import TABLE_NAMES, TableValue, decode_value, encode_value

V = TypeVar("V", bound=TableValue)

Encoded = Mapping[str, Mapping[str, tuple[bytes | None, TableValue | None]]]
"""Per table and key: the bytes that the changelog has, and the value that they are."""


def encoded(changed: Mapping[str, Mapping[str, TableValue | None]]) -> Encoded:
    """What a batch has changed, as `OwnedTables.apply` takes it."""
    return {
        table: {
            key: (None if value is None else encode_value(value), value)
            for key, value in changes.items()
        }
        for table, changes in changed.items()
    }


POSITION_KEY = b"position"
"""In the changelog of ``seen``, whose other keys begin with a user id: see `position_value`."""
_MOST_DIGITS = 19
"""Of an offset, which Kafka keeps in 64 bits."""


class OwnedTables(ABC):
    """A partition's tables while a worker has it: opened, restored, applied to, closed.

    ``position``: the offset of ``learner.events`` to go on reading from; ``None`` before anything
    was read.
    """

    position: int | None

    @abstractmethod
    def open(self, belongs_to: str | None) -> Mapping[str, int]:
        """By changelog topic, from where it has to be read to restore what is not there yet.

        Args:
            belongs_to: see `agents.partition_state.PartitionState`.
        """

    @abstractmethod
    def begin_anew(self) -> None:
        """Forgets what `open` has found: the changelogs do not go on from there."""

    @abstractmethod
    def restore(self, table: str, key: bytes, raw: bytes | None, offset: int) -> None:
        """Takes one changelog record as it is; a ``None`` value deletes the key.

        Raises:
            InvalidRecord: the position is no number.
        """

    @abstractmethod
    def restored(self) -> None:
        """Says that this was all."""

    @abstractmethod
    def apply(self, changed: Encoded, position: int, reached: Mapping[str, int]) -> None:
        """Takes over a batch that Kafka has committed, where to read on, and where the batch ends
        in each topic."""

    @abstractmethod
    def close(self) -> None:
        """Another worker has the partition now."""

    def profile(self, key: str) -> Profile | None:
        return self._get("profile", key, Profile)

    def behavior(self, key: str) -> Behavior | None:
        return self._get("behavior", key, Behavior)

    def engagement(self, key: str) -> Engagement | None:
        return self._get("engagement", key, Engagement)

    @abstractmethod
    def seen(self, key: str) -> bytes | None: ...

    @abstractmethod
    def _get(self, table: str, key: str, kind: type[V]) -> V | None: ...


class PartitionTables(OwnedTables):
    """Bytes of this partition alone, as on disk.

    Events of one learner may come in two partitions (their producers do not agree); each then
    counts its own offsets, and giving one up leaves the other as it is. A value decoded once is
    kept, and counts only while the very bytes that it came from are there.
    """

    def __init__(self) -> None:
        self._stores: dict[str, dict[bytes, bytes]] = {name: {} for name in TABLE_NAMES}
        self._decoded: dict[str, dict[str, tuple[bytes, TableValue]]] = {
            name: {} for name in TABLE_NAMES
        }
        self.position: int | None = None

    def open(self, belongs_to: str | None) -> Mapping[str, int]:
        return {}

    def begin_anew(self) -> None:
        self.close()

    def restored(self) -> None:
        """Nothing is held back."""

    def seen(self, key: str) -> bytes | None:
        return self._stores["seen"].get(key.encode())

    def restore(self, table: str, key: bytes, raw: bytes | None, offset: int) -> None:
        if key == POSITION_KEY:
            self.position = position_of(raw)
        else:
            self._put(table, key, raw)

    def apply(self, changed: Encoded, position: int, reached: Mapping[str, int]) -> None:
        self.position = position
        for table, changes in changed.items():
            for key, (raw, value) in changes.items():
                self._put(table, key.encode(), raw)
                if raw is not None and value is not None and table != "seen":
                    self._decoded[table][key] = (raw, value)

    def _put(self, table: str, key: bytes, raw: bytes | None) -> None:
        if raw is None:
            self._stores[table].pop(key, None)
        else:
            self._stores[table][key] = raw

    def close(self) -> None:
        for table in TABLE_NAMES:
            self._stores[table].clear()
            self._decoded[table].clear()
        self.position = None

    def _get(self, table: str, key: str, kind: type[V]) -> V | None:
        raw = self._stores[table].get(key.encode())
        if raw is None:
            return None
        known = self._decoded[table].get(key)
        if known is not None and known[0] is raw:
            value = known[1]
        else:
            value = decode_value(table, raw)
            self._decoded[table][key] = (raw, value)
        assert isinstance(value, kind)  # noqa: S101
        return value


def position_value(position: int) -> bytes:
    """The next offset to read from ``learner.events``, in decimal digits."""
    return b"%d" % position


def position_of(raw: bytes | None) -> int:
    """Raises: InvalidRecord: it is no `position_value`."""
    if raw is None or not raw.isdigit() or len(raw) > _MOST_DIGITS:
        raise InvalidRecord(
            f"the changelog of seen has {raw!r} under {POSITION_KEY.decode()!r}, where an offset "
            "in digits belongs: was it written by a newer version?"
        )
    return int(raw)
