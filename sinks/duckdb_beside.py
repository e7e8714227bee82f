"""The DuckDB file rebuilt in a file beside it, which then takes its name.

``<file>.rebuild`` is the new one until then, ``<file>.before-<UTC time>`` the old one afterwards.
While they change places the old one is held open for reading, which keeps every writer out.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path

from config.settings import DuckdbSettings
from schemas.errors import EditRefused, StoreUnavailable
from sinks.beside import KeptOut, stamp
from sinks.duckdb import DuckdbSink
from sinks.duckdb_file import connection, reading, writing

_OLDEST = {
    "decisions": "timestamp",
    "events": "occurred_at",
    "deliveries": "delivery_timestamp",
    "chat_messages": "timestamp",
}
"""When what stands there happened; of what is made from topics that Kafka cuts."""

_TRIES = 30


class DuckdbBeside:
    """Holds a lock that keeps other rebuilds out until it is closed."""

    name = DuckdbSink.name
    kept_out = KeptOut.LOCKED

    def __init__(self, settings: DuckdbSettings) -> None:
        self._file = settings.file
        self._new = settings.file.with_name(f"{settings.file.name}.rebuild")
        self._lock_file = settings.file.with_name(f"{settings.file.name}.rebuild-lock")
        self._lock: int | None = None

    async def oldest(self) -> datetime | None:
        return await asyncio.to_thread(_oldest, self._file) if self._file.exists() else None

    async def begin(self) -> DuckdbSink:
        self._lock = os.open(self._lock_file, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            raise EditRefused(
                f"somebody else is rebuilding {self._file} now: wait until it is done"
            ) from None
        for left in (self._new, _log_of(self._new)):
            left.unlink(missing_ok=True)
        return DuckdbSink(DuckdbSettings(file=self._new))

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        if not self._file.exists():
            yield
            return
        for attempt in range(_TRIES):
            try:
                # What a killed writer has left in a log beside the file goes into the file first:
                # the new file must not find it.
                await asyncio.to_thread(_settle, self._file)
            except StoreUnavailable:  # others have it
                if attempt == _TRIES - 1:
                    raise
                continue
            with reading(self._file):
                if not _log_of(self._file).exists():
                    yield
                    return
        raise StoreUnavailable(f"DuckDB, {self._file}: writers keep coming; run it again")

    async def switch(self) -> str:
        old = ""
        if self._file.exists():
            kept = self._file.with_name(f"{self._file.name}.before-{stamp(datetime.now(UTC))}")
            kept.hardlink_to(self._file)  # so that there is a live one at every moment
            old = str(kept)
        os.replace(self._new, self._file)
        _on_disk(self._file.parent)
        return old

    async def old(self) -> list[str]:
        pattern = f"{self._file.name}.before-{'[0-9]' * 14}"
        return sorted(str(file) for file in self._file.parent.glob(pattern))

    async def drop_old(self, name: str) -> None:
        await asyncio.to_thread(Path(name).unlink)

    async def close(self) -> None:
        if self._lock is None:
            return
        for left in (self._new, _log_of(self._new), self._lock_file):
            left.unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None


def _log_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.wal")


def _settle(file: Path) -> None:
    with closing(connection()) as db, writing(db, file):
        pass


def _oldest(file: Path) -> datetime | None:
    with reading(file) as db:
        there = {
            name for (name,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        }
        found = [
            db.execute(f'SELECT min("{column}") FROM {table}').fetchall()[0][0]  # noqa: S608  # names are ours
            for table, column in _OLDEST.items()
            if table in there
        ]
    return min((at for at in found if at is not None), default=None)


def _on_disk(folder: Path) -> None:
    """The names, as they are now."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
