"""Every store on a server of its own, to be stopped and killed, and settings that lead to them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from config.settings import DuckdbSettings, Settings
from servers.store_server import StoreServer

SERVERS = ("postgres", "mongodb", "clickhouse", "redis", "elasticsearch")
"""The stores that are servers; DuckDB is a file."""


class AllStores:
    """``servers`` by store; made by `all_stores`."""

    def __init__(self, servers: dict[str, StoreServer]) -> None:
        self.servers = servers

    def settings(self, settings: Settings, folder: Path) -> Settings:
        """The same settings, pointed at these stores; DuckDB's file lies in ``folder``."""
        from servers.clickhouse import new_database  # noqa: PLC0415  # needs its driver

        sections: dict[str, object] = {"duckdb": DuckdbSettings(file=folder / "learner.duckdb")}
        for store, server in self.servers.items():
            if store == "clickhouse":
                sections[store] = new_database(server)
                continue
            section = getattr(settings, store)
            given = {"url": server.url, "password": server.password}
            sections[store] = type(section).model_validate({**section.model_dump(), **given})
        return settings.model_copy(update=sections)


@contextmanager
def all_stores(wanted: Iterable[str] = SERVERS) -> Iterator[AllStores]:
    """Started one after the other, stopped at the end; ``wanted``: only these.

    Raises:
        ServerUnavailable: one of them cannot run here.
    """
    with ExitStack() as stack:
        servers: dict[str, StoreServer] = {}
        for store in set(SERVERS).intersection(wanted):
            server: StoreServer = importlib.import_module(f"servers.{store}").start()
            stack.callback(server.stop)
            servers[store] = server
        yield AllStores(servers)
