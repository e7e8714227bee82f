"""ClickHouse rebuilt in a database beside the live one; the tables then change places.

``<database>_rebuild`` has the new tables until then, ``<database>_before_<UTC time>`` the old ones
afterwards. The new tables are made as the live ones are, also where an operator made those. Tables
change places by ``EXCHANGE TABLES``, one by one, where the database can (Atomic), else by one
``RENAME``. A running sink is not kept out: of two rows with one identity the first telling stays,
whoever writes it when.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlsplit

from clickhouse_driver import Client

from config.settings import ClickhouseSettings
from sinks.beside import KeptOut, stamp
from sinks.clickhouse import ClickhouseSink, connect, reaching
from sinks.clickhouse_tables import ALL_NAMES, WITH_RETENTION

T = TypeVar("T")


class ClickhouseBeside:
    """Statements are asked one by one, each on a connection of its own."""

    name = ClickhouseSink.name
    kept_out = KeptOut.ANY_ORDER

    def __init__(self, settings: ClickhouseSettings) -> None:
        self._settings = settings
        self._live = connect(settings).connection.database
        self._new = f"{self._live}_rebuild"

    async def oldest(self) -> datetime | None:
        def ask(client: Client) -> datetime | None:
            if not client.execute("EXISTS TABLE events")[0][0]:
                return None
            ((count, oldest),) = client.execute("SELECT count(), min(occurred_at) FROM events")
            return oldest.replace(tzinfo=oldest.tzinfo or UTC) if count else None

        return await self._ask(ask)

    async def begin(self) -> ClickhouseSink:
        live = ClickhouseSink(self._settings)
        try:
            await live.setup()  # so that there are tables to be made alike
        finally:
            await live.close()

        def make(client: Client) -> None:
            client.execute(f"DROP DATABASE IF EXISTS `{self._new}`")
            client.execute(f"CREATE DATABASE `{self._new}`")
            made = [client.execute(f"SHOW CREATE TABLE {name}")[0][0] for name in ALL_NAMES]
            beside = connect(self._beside())
            try:
                for statement in made:
                    beside.execute(of_database(statement, self._live, self._new))
            finally:
                beside.disconnect()

        await self._ask(make)
        return ClickhouseSink(self._beside())

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        yield

    async def switch(self) -> str:
        before = f"{self._live}_before_{stamp(datetime.now(UTC))}"
        await self._ask(lambda client: self._switch(client, before))
        return before

    def _switch(self, client: Client, before: str) -> None:
        client.execute(f"CREATE DATABASE `{before}`")
        live, new, old = f"`{self._live}`", f"`{self._new}`", f"`{before}`"
        engine = client.execute(
            "SELECT engine FROM system.databases WHERE name = currentDatabase()"
        )
        if engine == [("Atomic",)]:
            for name in WITH_RETENTION:
                client.execute(f"EXCHANGE TABLES {live}.{name} AND {new}.{name}")
            moved = [f"{new}.{name} TO {old}.{name}" for name in WITH_RETENTION]
        else:
            moved = [
                f"{live}.{name} TO {old}.{name}, {new}.{name} TO {live}.{name}"
                for name in WITH_RETENTION
            ]
        client.execute(f"RENAME TABLE {', '.join(moved)}")
        client.execute(f"DROP DATABASE {new}")

    async def old(self) -> list[str]:
        found = await self._ask(lambda client: client.execute("SHOW DATABASES"))
        ours = re.compile(rf"{re.escape(self._live)}_before_[0-9]{{14}}")
        return sorted(name for (name,) in found if ours.fullmatch(name))

    async def drop_old(self, name: str) -> None:
        await self._ask(lambda client: client.execute(f"DROP DATABASE `{name}`"))

    async def close(self) -> None:
        """Each question has closed its own connection."""

    def _beside(self) -> ClickhouseSettings:
        url = urlsplit(self._settings.url)._replace(path=f"/{self._new}").geturl()
        return self._settings.model_copy(update={"url": url, "create_tables": False})

    async def _ask(self, do: Callable[[Client], T]) -> T:
        return await asyncio.to_thread(self._asked, do)

    def _asked(self, do: Callable[[Client], T]) -> T:
        client = connect(self._settings)
        try:
            with reaching(client):
                return do(client)
        finally:
            client.disconnect()


def of_database(statement: str, live: str, new: str) -> str:
    """The same statement, with names that are qualified by another database.

    >>> of_database("CREATE VIEW a.v AS SELECT x.y FROM `a`.t", "a", "b")
    'CREATE VIEW `b`.v AS SELECT x.y FROM `b`.t'
    """
    return re.sub(rf"(?<![\w`.])(`?){re.escape(live)}\1\.", f"`{new}`.", statement)
