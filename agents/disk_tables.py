"""The four tables of one source partition on disk, as `agents.partition_tables` has them in memory.

What was decoded is kept for the learners who were active last; the others are read when their next
event comes. Nothing reaches the disk before Kafka has committed it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agents.partition_state import PartitionState
from agents.partition_tables import (
    POSITION_KEY,
    Encoded,
    OwnedTables,
    V,
    position_of,
    position_value,
)
from streams.tables import TABLE_NAMES, TableValue, decode_value

_RESTORED_AT_ONCE = 2_000
_PREFIX = {name: name[:1].encode() for name in TABLE_NAMES}


class DiskTables(OwnedTables):
    """
    Args:
        changelogs: table by changelog topic.
        decoded_values: of each table, that are kept decoded.
    """

    def __init__(self, folder: Path, changelogs: Mapping[str, str], decoded_values: int) -> None:
        self._folder = folder
        self._decoded_values = decoded_values
        self._topics = {table: topic for topic, table in changelogs.items()}
        self._state: PartitionState | None = None
        self._decoded: dict[str, dict[str, TableValue]] = {name: {} for name in TABLE_NAMES}
        self._restoring: list[tuple[bytes, bytes | None]] = []
        self._restored_to: dict[str, int] = {}
        self.position: int | None = None

    def open(self, belongs_to: str | None) -> Mapping[str, int]:
        """Raises: StateInUse, StoreUnavailable (see `PartitionState`)."""
        self._state = PartitionState(self._folder, belongs_to)
        raw = self._state.get(_PREFIX["seen"] + POSITION_KEY)
        self.position = None if raw is None else position_of(raw)
        return self._state.reached

    def begin_anew(self) -> None:
        self._opened.begin_anew()
        self.position = None

    def seen(self, key: str) -> bytes | None:
        return self._get("seen", key, bytes)

    def restore(self, table: str, key: bytes, raw: bytes | None, offset: int) -> None:
        if key == POSITION_KEY:
            self.position = position_of(raw)
        self._restoring.append((_PREFIX[table] + key, raw))
        self._restored_to[self._topics[table]] = offset + 1
        if len(self._restoring) >= _RESTORED_AT_ONCE:
            self._write_restored()

    def restored(self) -> None:
        self._write_restored()

    def apply(self, changed: Encoded, position: int, reached: Mapping[str, int]) -> None:
        """Raises: StoreUnavailable: Kafka has the batch, the disk has not; leave."""
        self.position = position
        rows: list[tuple[bytes, bytes | None]] = [
            (_PREFIX["seen"] + POSITION_KEY, position_value(position))
        ]
        for table, changes in changed.items():
            prefix = _PREFIX[table]
            for key, (raw, value) in changes.items():
                rows.append((prefix + key.encode(), raw))
                self._keep(table, key, value)
        ours = {topic: at for topic, at in reached.items() if topic in self._topics.values()}
        self._opened.write(rows, ours)

    def close(self) -> None:
        if self._state is not None:
            self._state.close()
            self._state = None
        for known in self._decoded.values():
            known.clear()
        self._restoring, self._restored_to = [], {}
        self.position = None

    @property
    def _opened(self) -> PartitionState:
        assert self._state is not None, "opened before it is used"  # noqa: S101
        return self._state

    def _write_restored(self) -> None:
        self._opened.write(self._restoring, self._restored_to)
        self._restoring, self._restored_to = [], {}

    def _get(self, table: str, key: str, kind: type[V]) -> V | None:
        value = self._decoded[table].get(key)
        if value is None:
            raw = self._opened.get(_PREFIX[table] + key.encode())
            if raw is None:
                return None
            value = decode_value(table, raw)
            self._keep(table, key, value)
        assert isinstance(value, kind)  # noqa: S101
        return value

    def _keep(self, table: str, key: str, value: TableValue | None) -> None:
        """The latest written or read stands last; the first one goes."""
        known = self._decoded[table]
        known.pop(key, None)
        if value is not None:
            known[key] = value
            if len(known) > self._decoded_values:
                del known[next(iter(known))]
