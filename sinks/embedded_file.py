"""The embedded default's store: one DuckDB file that keeps what came out.

Rows are replaced by id, so writing a record twice changes nothing. DuckDB writes a batch whole or
not at all, also when the process is killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import orjson
import pandas as pd

from schemas.decision import Decision, decision_adapter
from schemas.errors import InvalidInput
from schemas.tree import TreeDocument

Row = tuple[Any, ...]


class Stored(NamedTuple):
    """A table of the file; ``record`` is always the whole record as JSON."""

    name: str
    columns: str
    row: Callable[[dict[str, Any]], Row]


_TABLES: dict[str, Stored] = {
    "learner.decisions": Stored(
        "decisions",
        "decision_id UUID PRIMARY KEY, user_id UUID, course_id VARCHAR, timestamp TIMESTAMPTZ, "
        "tree_id VARCHAR, decision_label VARCHAR, decision_version INTEGER, record JSON",
        lambda d: (
            d["decision_id"],
            d["user_id"],
            d["course_id"],
            d["timestamp"],
            d["tree_id"],
            d["decision_label"],
            d["decision_version"],
        ),
    ),
    "tree.examples": Stored(
        "examples",
        "example_id UUID PRIMARY KEY, tree_id VARCHAR, user_id UUID, course_id VARCHAR, "
        "decided_at TIMESTAMPTZ, labelled_at TIMESTAMPTZ, label VARCHAR, record JSON",
        lambda d: (
            d["example_id"],
            d["tree_id"],
            d["user_id"],
            d["course_id"],
            d["decided_at"],
            d["labelled_at"],
            d["label"],
        ),
    ),
    "tree.versions": Stored(
        "tree_versions",
        "id VARCHAR PRIMARY KEY, tree_id VARCHAR, version INTEGER, author VARCHAR, record JSON",
        lambda d: (f"{d['tree_id']}:{d['version']}", d["tree_id"], d["version"], d["author"]),
    ),
    "learner.dlq": Stored(
        "dead_letters",
        "dead_letter_id UUID PRIMARY KEY, reason VARCHAR, detail VARCHAR, record JSON",
        lambda d: (d["dead_letter_id"], d["reason"], d["detail"]),
    ),
}


class EmbeddedFile:
    """Writes records of our output topics into the file. One writer at a time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._db: duckdb.DuckDBPyConnection | None = None

    def setup(self) -> None:
        """Opens the file and makes its tables; running it again changes nothing.

        Raises:
            InvalidInput: the file is another program's, or held by another process.
        """
        self._db = _open(self._file, read_only=False)
        for table in _TABLES.values():
            self._db.execute(f"CREATE TABLE IF NOT EXISTS {table.name} ({table.columns})")

    def write(self, batch: Iterable[tuple[str, bytes]]) -> None:
        """Writes (topic, record) pairs as one transaction; topics that it does not keep raise
        ``KeyError``."""
        assert self._db is not None, "setup() comes first"  # noqa: S101
        rows: dict[str, list[Row]] = {}
        for topic, raw in batch:
            table = _TABLES[topic]
            rows.setdefault(topic, []).append((*table.row(orjson.loads(raw)), raw.decode()))
        self._db.begin()
        for topic, added in rows.items():
            frame = pd.DataFrame(added)  # noqa: F841  # DuckDB reads it by its name
            # The name is one of ours, never input.
            self._db.execute(f"INSERT OR REPLACE INTO {_TABLES[topic].name} SELECT * FROM frame")  # noqa: S608
        self._db.commit()

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


def decisions_of(file: Path, user_id: str) -> Iterator[Decision]:
    """A learner's decisions, oldest first."""
    sql = "SELECT record FROM decisions WHERE user_id::VARCHAR = ? ORDER BY timestamp, decision_id"
    for (record,) in _query(file, sql, [user_id]):
        yield decision_adapter.validate_json(record)


def versions_of(file: Path) -> list[TreeDocument]:
    """Every tree version, in order."""
    sql = "SELECT record FROM tree_versions ORDER BY tree_id, version"
    return [TreeDocument.model_validate_json(record) for (record,) in _query(file, sql)]


def most_decided(file: Path) -> str | None:
    """The learner of whom most was decided; None in an empty file."""
    sql = "SELECT user_id::VARCHAR FROM decisions GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
    found = _query(file, sql)
    return found[0][0] if found else None


def labels_by_day(file: Path) -> list[tuple[Any, str, int]]:
    """(day, learner label, how many decisions gave it), in order."""
    sql = (
        "SELECT timestamp::DATE AS day, decision_label, count(*)::INTEGER FROM decisions "
        "WHERE tree_id = 'primary_classification' GROUP BY ALL ORDER BY ALL"
    )
    return _query(file, sql)


def _query(file: Path, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
    with _open(file, read_only=True) as db:
        return db.execute(sql, list(parameters)).fetchall()


def _open(file: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(file), read_only=read_only)
    except duckdb.Error as error:
        raise InvalidInput(f"{file}: {str(error).splitlines()[0]}") from None
