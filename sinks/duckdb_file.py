"""Opening the DuckDB file for as long as it is needed, and saying what is wrong with it.

DuckDB lets one writer or many readers at a file. Who meets a lock waits for a moment.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb

from schemas.errors import InvalidInput, RecordRefused, StoreUnavailable
from sinks.duckdb_table import ROW_GROUP

_WRITER_WAITS_SECONDS = 1.0
_READER_WAITS_SECONDS = 5.0
_PAUSE_SECONDS = 0.02
_ATTACH = {
    True: "ATTACH ? AS kept (READ_ONLY)",
    False: f"ATTACH ? AS kept (ROW_GROUP_SIZE {ROW_GROUP})",
}
_REFUSALS = (duckdb.IntegrityError, duckdb.DataError, duckdb.InvalidInputException)
_AWAY = (
    duckdb.IOException,
    duckdb.ResourceInUseException,
    duckdb.CatalogException,
    duckdb.TransactionException,  # a commit that found the disk full, say
)


def connection() -> duckdb.DuckDBPyConnection:
    """To no file yet. What counts as a day is UTC's, wherever this runs."""
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    return db


@contextmanager
def writing(db: duckdb.DuckDBPyConnection, file: Path) -> Iterator[None]:
    """One transaction in the file, made if it is not there; committed and closed at the end.

    After an error close the connection: that undoes what was begun, and lets go of the file.

    Raises:
        StoreUnavailable: somebody holds the file, it cannot be written, or its folder is not there.
        RecordRefused: a table takes no such row.
        InvalidInput: another program's file.
    """
    if not file.parent.is_dir():
        raise StoreUnavailable(f"DuckDB, {file}: there is no folder {file.parent}: make it")
    with _complaints(file), _attached(db, file, _WRITER_WAITS_SECONDS, read_only=False):
        db.begin()
        yield
        db.commit()


@contextmanager
def reading(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that sees the file's tables by their names, read-only; times are UTC.

    The file is held for as long as that: no writer gets at it.

    Raises:
        InvalidInput: no such file, another program's, or without the table asked for.
        StoreUnavailable: somebody has been writing into it for too long.
    """
    with closing(connection()) as db, _opened(db, file):
        yield db


@contextmanager
def _opened(db: duckdb.DuckDBPyConnection, file: Path) -> Iterator[None]:
    if not file.exists():
        raise InvalidInput(f"{file}: there is no such file")
    with _complaints(file), _attached(db, file, _READER_WAITS_SECONDS, read_only=True):
        try:
            yield
        except duckdb.CatalogException as error:
            raise InvalidInput(f"{file}: it does not hold this: {_said(error)}") from None


@contextmanager
def copied(file: Path, **wanted: tuple[str, Sequence[Any]]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that sees what the queries found, each under its name; the file is free again.

    For whoever reads on for long. ``wanted``: SQL and its parameters; all of one instant.

    Raises:
        InvalidInput, StoreUnavailable: as `reading`.
    """
    with closing(connection()) as db:
        with _opened(db, file):
            for name, (sql, parameters) in wanted.items():
                db.execute(f"CREATE TEMP TABLE {name} AS {sql}", list(parameters))
        yield db


@contextmanager
def _attached(
    db: duckdb.DuckDBPyConnection, file: Path, patience: float, *, read_only: bool
) -> Iterator[None]:
    """The file's tables under their names; waits for somebody who holds it.

    After an error it stays so until the connection is closed.
    """
    until = time.monotonic() + patience
    while True:
        try:
            db.execute(_ATTACH[read_only], [str(file)])
            break
        except (duckdb.IOException, duckdb.ResourceInUseException) as error:
            if not _held(error) or time.monotonic() > until:
                raise
        time.sleep(_PAUSE_SECONDS)
    db.execute("USE kept")
    yield
    db.execute("USE memory")
    db.execute("DETACH kept")


@contextmanager
def _complaints(file: Path) -> Iterator[None]:
    """DuckDB's errors as ours."""
    try:
        yield
    except _REFUSALS as error:
        raise RecordRefused(_said(error)) from None
    except _AWAY as error:
        if "not a valid DuckDB" in str(error):
            raise InvalidInput(f"{file}: {_said(error)}") from None
        # Of a checkpoint that failed the second line says why.
        said = " ".join(str(error).split())[:500]
        raise StoreUnavailable(f"DuckDB, {file}: {said}") from None


def _held(error: duckdb.Error) -> bool:
    return isinstance(error, duckdb.ResourceInUseException) or "set lock" in str(error)


def _said(error: duckdb.Error) -> str:
    return str(error).splitlines()[0][:500]
