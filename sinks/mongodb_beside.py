"""MongoDB rebuilt in collections beside the live ones, which are then renamed.

``<name>_rebuild`` are the new ones until then, ``<name>_before_<UTC time>`` the old ones
afterwards. A transcript takes messages in their order only, and MongoDB cannot keep a writer out of
one collection: so the sink must be stopped for the switch. Between the two renames of a collection
nothing stands under its name, for a moment.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from pymongo.asynchronous.database import AsyncDatabase

from config.settings import MongodbSettings
from sinks import mongodb_transcripts
from sinks.beside import KeptOut, stamp
from sinks.mongodb import MongodbSink, connect, mongodb_errors
from sinks.mongodb_documents import COLLECTIONS, Document

_NEW = "_rebuild"
_BEFORE = "_before_"
_NAMES = (*(collection.name for collection in COLLECTIONS.values()), mongodb_transcripts.COLLECTION)


class MongodbBeside:
    """All collections together."""

    name = MongodbSink.name
    kept_out = KeptOut.STOPPED

    def __init__(self, settings: MongodbSettings) -> None:
        self._settings = settings
        self._database: AsyncDatabase[Document] | None = None

    async def oldest(self) -> datetime | None:
        """Of the transcripts: states come from changelogs, which are never cut."""
        database = self._connected()
        with mongodb_errors(database):
            transcripts = database[mongodb_transcripts.COLLECTION]
            first = await transcripts.find_one({}, {"started_at": 1}, sort=[("started_at", 1)])
        return None if first is None else first["started_at"]

    async def begin(self) -> MongodbSink:
        database = self._connected()
        with mongodb_errors(database):
            for name in _NAMES:
                await database.drop_collection(f"{name}{_NEW}")
        return MongodbSink(self._settings, _NEW)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        yield

    async def switch(self) -> str:
        database = self._connected()
        before = f"{_BEFORE}{stamp(datetime.now(UTC))}"
        with mongodb_errors(database):
            there = set(await database.list_collection_names())
            # One that nothing was written to need not be there.
            for name in _NAMES:
                if name in there:
                    await database[name].rename(f"{name}{before}")
                if f"{name}{_NEW}" in there:
                    await database[f"{name}{_NEW}"].rename(name)
        return f"*{before}"

    async def old(self) -> list[str]:
        database = self._connected()
        with mongodb_errors(database):
            names = await database.list_collection_names()
        ends = (re.search(rf"{_BEFORE}[0-9]{{14}}$", name) for name in names)
        return sorted({f"*{end[0]}" for end in ends if end is not None})

    async def drop_old(self, name: str) -> None:
        database = self._connected()
        with mongodb_errors(database):
            for kept in _NAMES:
                await database.drop_collection(f"{kept}{name.removeprefix('*')}")

    async def close(self) -> None:
        if self._database is not None:
            await self._database.client.close()
            self._database = None

    def _connected(self) -> AsyncDatabase[Document]:
        if self._database is None:
            self._database = connect(self._settings)
        return self._database
