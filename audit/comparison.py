"""Rows that must be there against rows that are: pure, by digests, so that millions fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from audit.rows import Row, digest

RowId = tuple[str, str]
"""Table and id."""


class Difference(NamedTuple):
    """``kind``: missing, extra or different. ``fields``: (stored, expected) of what differs."""

    table: str
    id: str
    kind: str
    fields: dict[str, tuple[Any, Any]] = {}  # noqa: RUF012  # never changed


@dataclass
class TableReport:
    """``rows``: stored and compared. ``refused``: not compared, since the store refused them and
    they stand in the dead letters."""

    store: str
    table: str
    rows: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    refused: int = 0
    first: list[Difference] = field(default_factory=list)

    @property
    def in_step(self) -> bool:
        return not (self.missing or self.extra or self.different)


class Comparison:
    """One store. First `stored` for every row it holds, then `must`, `may` and `refused` in the
    order of the log, then `reports`.

    ``must``: what stands there by the end of the range. ``may``: what events after the range have
    left there if their sink was quick. So the audit can run while everything else does.
    """

    def __init__(self, store: str, tables: tuple[str, ...]) -> None:
        self._store = store
        self._tables = tables
        self._stored: dict[RowId, bytes] = {}
        self._twice: Counter[str] = Counter()
        self._must: dict[RowId, bytes | None] = {}
        self._may: dict[RowId, set[bytes | None]] = {}
        self._refused: set[RowId] = set()

    def stored(self, row: Row) -> None:
        key = (row.table, row.id)
        if key in self._stored:
            self._twice[row.table] += 1
        self._stored[key] = _digest(row)

    def must(self, row: Row, *, compared: bool = True) -> None:
        """``compared``: false for what lies before the range: it may stand there, as it likes."""
        key = (row.table, row.id)
        if row.values is None:
            self._must.pop(key, None)
        else:
            self._must[key] = _digest(row) if compared else None

    def may(self, row: Row) -> None:
        self._may.setdefault((row.table, row.id), set()).add(
            None if row.values is None else _digest(row)
        )

    def refused(self, row: Row) -> None:
        self._refused.add((row.table, row.id))

    def reports(self, first: int) -> list[TableReport]:
        """One for each table; ``first`` differences of each are named, without their fields."""
        made = {table: TableReport(self._store, table) for table in self._tables}
        for table, count in self._twice.items():
            made[table].extra += count
        for (table, id_), kind in self._verdicts():
            report = made[table]
            if kind in ("missing", "extra", "different"):
                setattr(report, kind, getattr(report, kind) + 1)
                if len(report.first) < first:
                    report.first.append(Difference(table, id_, kind))
            elif kind == "refused":
                report.refused += 1
            report.rows += kind in ("same", "different", "extra")
        return list(made.values())

    def _verdicts(self) -> Iterator[tuple[RowId, str]]:
        for key in self._stored.keys() | self._must.keys():
            yield key, self._verdict(key)

    def _verdict(self, key: RowId) -> str:  # one for each verdict
        if key in self._refused:
            return "refused"
        stored, later = self._stored.get(key), self._may.get(key, set())
        if key not in self._must:
            if stored is None or stored in later:
                return "same" if stored else "absent"
            return "different" if later else "extra"
        must = self._must[key]
        if stored is None:
            return "absent" if None in later or must is None else "missing"
        return "same" if must is None or stored == must or stored in later else "different"


def with_fields(difference: Difference, stored: Row | None, expected: Row | None) -> Difference:
    """The same, field by field."""
    there = (stored.values if stored else None) or {}
    must = (expected.values if expected else None) or {}
    names = sorted(there.keys() | must.keys())
    return difference._replace(
        fields={
            name: (there.get(name), must.get(name))
            for name in names
            if there.get(name) != must.get(name)
        }
    )


def _digest(row: Row) -> bytes:
    assert row.values is not None  # noqa: S101  # a deleted row has none
    return digest(row.values)
