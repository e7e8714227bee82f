"""What the DuckDB file tells of itself; nothing is written."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import duckdb

from config.settings import DuckdbSettings
from doctor.store import StoreFacts
from sinks.duckdb_file import reading
from sinks.duckdb_tables import TABLES


async def facts(settings: DuckdbSettings, *, has_run: bool) -> StoreFacts:
    """See `StoreFacts`.

    Raises:
        StoreUnavailable: somebody has been writing into the file for too long.
        InvalidInput: it is another program's.
    """
    return await asyncio.to_thread(_facts, settings.file, has_run=has_run)


def _facts(file: Path, *, has_run: bool) -> StoreFacts:
    folder = file.resolve().parent
    there: set[str] = set()
    if file.exists():
        with reading(file) as db:
            asked = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'kept'"
            there = {name for (name,) in db.execute(asked).fetchall()}
    usage = shutil.disk_usage(folder) if folder.exists() else None
    return StoreFacts(
        "duckdb",
        str(file),
        duckdb.__version__,
        missing=_missing(file, there),
        has_run=has_run,
        refusals=_refusals(file, folder),
        disk=(usage.free, usage.total) if usage else None,
    )


def _missing(file: Path, there: set[str]) -> tuple[str, ...]:
    if not file.exists():
        return (f"the file {file.name}",)
    return tuple(table.name for table in TABLES if table.name not in there)


def _refusals(file: Path, folder: Path) -> tuple[str, ...]:
    if not folder.exists():
        return (f"there is no folder {folder}",)
    places = [folder, *([file] if file.exists() else [])]
    return tuple(
        f"this user may not write to {place}" for place in places if not os.access(place, os.W_OK)
    )
