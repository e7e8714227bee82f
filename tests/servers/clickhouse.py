"""ClickHouse for tests: the image that users take, or the machine's own, which is Debian's 18.16.

That one lacks types that the product's DDL has: `create_legacy_tables` makes the tables with what
it has instead. Everything else (inserts, views, queries) is the product's.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from clickhouse_driver import Client

from config.settings import ClickhouseSettings
from servers.kafka import docker_answers, free_ports
from servers.kafka_jars import ServerUnavailable
from servers.store_server import ChildServer, ContainerServer, StoreServer
from sinks.clickhouse import connect
from sinks.clickhouse_tables import statements

IMAGE = "clickhouse/clickhouse-server:25.8"
_CONFIG = "/etc/clickhouse-server/config.xml"

LEGACY = (
    (r"LowCardinality\(String\)", "String"),  # since 19.0
    (r"DateTime64\(6, 'UTC'\)", "DateTime('UTC')"),  # since 20.1; whole seconds only
    (
        r"parseDateTime64BestEffort\(time, 6, 'UTC'\)",
        "toDateTime(substring(time, 1, 19), 'UTC')",
    ),
    (r" CODEC\(ZSTD\(3\)\)", ""),  # since 19.0
    (r"\nTTL [^\n]*", ""),  # since 19.6
    (r"\nSETTINGS ttl_only_drop_parts = 1", ""),  # since 20.1
)
"""What 18.16 does not know, and what it gets instead."""


def start() -> StoreServer:
    """One that answers, user and password as its ``url`` and ``password`` say.

    Raises:
        ServerUnavailable: neither Docker nor the package is here, or it does not start.
    """
    server: StoreServer
    if docker_answers():
        password = uuid.uuid4().hex
        server = ContainerServer(
            IMAGE,
            9000,
            lambda port: f"clickhouse://learner@127.0.0.1:{port}/default",
            lambda url: _answers(url, password),
            {"CLICKHOUSE_USER": "learner", "CLICKHOUSE_PASSWORD": password},
            password,
        )
    elif shutil.which("clickhouse-server") and Path(_CONFIG).exists():
        server = ChildServer(
            "clickhouse",
            _command,
            lambda port: f"clickhouse://default@127.0.0.1:{port}/default",
            _answers,
        )
    else:
        raise ServerUnavailable(
            "no Docker engine answers, and no ClickHouse is installed: "
            "apt-get install clickhouse-server",
            possible=False,
        )
    server.start()
    return server


def new_database(server: StoreServer) -> ClickhouseSettings:
    """An empty database of the test's own, with its tables if only the test can make them."""
    return database_of(server.url, server.password)


def database_of(url: str, password: str | None) -> ClickhouseSettings:
    name = f"t{uuid.uuid4().hex[:12]}"
    at = ClickhouseSettings(url=url, password=password)
    with connect(at) as client:
        client.execute(f"CREATE DATABASE {name}")
        old = is_legacy(client)
    made = at.model_copy(
        update={
            "url": f"{url.rpartition('/')[0]}/{name}",
            "create_tables": not old,
            "retention_days": 36_500,  # simulated classes are years old
        }
    )
    if old:
        with connect(made) as client:
            create_legacy_tables(client)
    return made


def drop_database(settings: ClickhouseSettings) -> None:
    address, _, name = settings.url.rpartition("/")
    with connect(settings.model_copy(update={"url": f"{address}/default"})) as client:
        client.execute(f"DROP DATABASE IF EXISTS {name}")


def is_legacy(client: Client) -> bool:
    """Whether the server is too old for the product's DDL."""
    found = client.execute("SELECT count() FROM system.data_type_families WHERE name='DateTime64'")
    return bool(found[0][0] == 0)


def create_legacy_tables(client: Client) -> None:
    """The product's tables and views as 18.16 can have them, in the client's database."""
    for statement in legacy_statements():
        client.execute(statement)


def legacy_statements() -> list[str]:
    """The product's DDL with each of `LEGACY` replaced."""
    made = statements(retention_days=36_500)
    for known, instead in LEGACY:
        made = [re.sub(known, instead, statement) for statement in made]
    return made


def _command(data: Path, port: int) -> Sequence[str]:
    http, between = free_ports(2)
    options = {
        "path": f"{data}/",
        "tmp_path": f"{data}/tmp/",  # noqa: S108  # below the data
        "user_files_path": f"{data}/user_files/",
        "format_schema_path": f"{data}/format_schemas/",
        "tcp_port": port,
        "http_port": http,
        "interserver_http_port": between,
        "listen_host": "127.0.0.1",
        "logger.console": 1,
        "logger.log": "",
        "logger.errorlog": "",
    }
    return [
        "clickhouse-server",
        f"--config-file={_CONFIG}",
        "--",
        *(f"--{name}={value}" for name, value in options.items()),
    ]


def _answers(url: str, password: str | None = None) -> bool:
    with connect(ClickhouseSettings(url=url, password=password, timeout_seconds=2)) as client:
        return bool(client.execute("SELECT 1") == [(1,)])
