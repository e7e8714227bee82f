"""A table of `PostgresSink` as data: name, SQL type and place in the record by column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

Values = dict[str, Any]

_TO_SQL: dict[str, Callable[[Any], Any]] = {
    "TIMESTAMPTZ": datetime.fromisoformat,
    "DATE": date.fromisoformat,
    "JSONB": lambda value: orjson.dumps(value).decode(),
}
"""How what JSON holds as text or object goes to asyncpg; all other types as they are."""


class Column(NamedTuple):
    """``path``: keys with dots between, the name if not given. ``default``: where nothing is."""

    name: str
    type: str
    path: str = ""
    default: Any = None

    def told(self, value: Values) -> Any:
        """What the record says, in JSON's types."""
        found: Any = value
        for step in (self.path or self.name).split("."):
            found = found.get(step) if found is not None else None
        return self.default if found is None else found


def _itself(value: Values) -> Iterable[Values]:
    return (value,)


def columns(type_: str, *names: str) -> tuple[Column, ...]:
    """Several of one type, each with the name that it has in the record."""
    return tuple(Column(name, type_) for name in names)


class Table(NamedTuple):
    """``parts``: the objects in a record of which each makes a row; ``key`` tells rows apart."""

    name: str
    topic: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    parts: Callable[[Values], Iterable[Values]] = _itself

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def rows(self, values: Iterable[Values]) -> Iterator[tuple[Any, ...]]:
        """Rows as asyncpg takes them, in the columns' order."""
        cells = [_cell(column) for column in self.columns]
        return (
            tuple([cell(part) for cell in cells]) for value in values for part in self.parts(value)
        )


def _cell(column: Column) -> Callable[[Values], Any]:
    convert = _TO_SQL.get(column.type)
    if convert is None:
        return column.told if column.path or column.default is not None else _direct(column.name)

    def converted(value: Values) -> Any:
        found = column.told(value)
        return None if found is None else convert(found)

    return converted


def _direct(name: str) -> Callable[[Values], Any]:
    """`Column.told` for most columns: this one runs for every cell of the decision log."""
    take = itemgetter(name)

    def direct(value: Values) -> Any:
        try:
            return take(value)
        except KeyError:
            return None

    return direct
