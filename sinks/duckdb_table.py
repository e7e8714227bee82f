"""A DuckDB table as data: what it holds, how a record fills it, which row stays."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from schemas.topics import EVENTS
from sinks.contract import SinkRecord

RECORD, PARTITION, OFFSET = "$", "@partition", "@offset"
"""Paths of a column: the whole record, and its place in Kafka."""

ROW_GROUP = 10_240
"""Rows that DuckDB keeps together: as many as come in one write, so that none is packed twice."""

Key = tuple[Any, ...]


class Column(NamedTuple):
    """``path``: the field of the record, `RECORD`, `PARTITION` or `OFFSET`; the name when empty.

    ``type`` is DuckDB's; of a DATE that is filled from a time, it is the UTC day.
    """

    name: str
    type: str
    optional: bool = False
    path: str = ""
    check: str = ""

    @property
    def field(self) -> str:
        return self.path or self.name


class Table(NamedTuple):
    """Filled from one topic. ``key`` names the columns by which a row is known.

    ``stays``: of several records with a key the first to come, the one with the lowest offset in
    Kafka or with the newest there, or the one with the highest ``offset`` in its value.
    """

    name: str
    topic: str
    key: tuple[str, ...]
    stays: Literal["first", "lowest", "newest", "highest"]
    columns: tuple[Column, ...]

    def key_of(self, record: SinkRecord) -> Key:
        """As text and numbers, in the order of ``key``; of a deletion, from the record's key."""
        value = record.value
        if value is None:
            return tuple(record.key.split("|", len(self.key) - 1))
        if self.topic == EVENTS:
            return (value["user_id"], value["occurred_at"][:10], value["event_id"])
        return tuple([value[name] for name in self.key])

    def rank_of(self, record: SinkRecord) -> int:
        """The highest stays; of equal ones, the first."""
        match self.stays:
            case "first":
                return 0
            case "lowest":
                return -record.offset
            case "newest":
                return record.offset
            case "highest":
                offset: int = record.value["offset"] if record.value else -1
                return offset

    @property
    def types(self) -> dict[str, str]:
        return {column.name: column.type for column in self.columns}


class View(NamedTuple):
    """What the file shows of a table in another form; never out of step with it."""

    name: str
    topic: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    sql: str


def columns(type_: str, *names: str, optional: bool = False) -> tuple[Column, ...]:
    """Several of one type, each with the name that it has in the record."""
    return tuple(Column(name, type_, optional) for name in names)
