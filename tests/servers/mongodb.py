"""A MongoDB for tests: the image on a Docker engine, otherwise FerretDB, built here by Go.

FerretDB speaks MongoDB's protocol and keeps SQLite. It is built once, into ``.tools/ferretdb/``,
with ``ferretdb/sqlite.patch``, whose head says what it mends.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr
from pymongo import MongoClient

from config.settings import MongodbSettings
from servers.go_build import built_once, run_tool
from servers.kafka import docker_answers
from servers.store_server import ChildServer, ContainerServer, StoreServer

FERRETDB_VERSION = "1.24.2"
_MODULE = f"github.com/FerretDB/FerretDB@v{FERRETDB_VERSION}"
_IMAGE = "mongo:8"
_SOURCE = Path(__file__).parent / "ferretdb"
_TOOLS = Path(__file__).parents[2] / ".tools" / "ferretdb"


def start() -> StoreServer:
    """A running server; ``url`` names the database ``learner``.

    Raises:
        ServerUnavailable: neither Docker nor Go is here, or what is here does not work.
    """
    server: StoreServer
    if docker_answers():
        server = ContainerServer(_IMAGE, 27017, _url, _answers, {})
    else:
        program = str(ferretdb())
        server = ChildServer(
            "mongodb", lambda data, port: [program, f"127.0.0.1:{port}", str(data)], _url, _answers
        )
    server.start()
    return server


@contextlib.contextmanager
def new_database(server: StoreServer) -> Iterator[MongodbSettings]:
    """Settings of an empty database that no one else uses; dropped at the end."""
    name = f"t{uuid.uuid4().hex[:12]}"
    password = SecretStr(server.password) if server.password else None
    settings = MongodbSettings(
        url=urlsplit(server.url)._replace(path=f"/{name}").geturl(), password=password
    )
    try:
        yield settings
    finally:
        client: MongoClient[dict[str, object]] = MongoClient(
            settings.url, password=server.password, serverSelectionTimeoutMS=5000
        )
        with client:
            client.drop_database(name)


def ferretdb() -> Path:
    """The program; built once, and whole or not at all.

    Raises:
        ServerUnavailable: no Go, no ``patch``, or they could not build it.
    """
    return built_once("FerretDB", _TOOLS / FERRETDB_VERSION / "ferretdb", ("go", "patch"), _build)


def _build(scratch: Path) -> Path:
    ours, patched = scratch / "ours", scratch / "patched"
    shutil.copytree(_SOURCE, ours)
    fetched = run_tool("FerretDB", ["go", "mod", "download", "-json", _MODULE], ours)
    shutil.copytree(json.loads(fetched)["Dir"], patched)
    for path in (patched, *patched.rglob("*")):  # the module cache is read-only
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    run_tool("FerretDB", ["patch", "-p1", "-i", str(ours / "sqlite.patch")], patched)
    run_tool("FerretDB", ["go", "mod", "edit", f"-replace={_MODULE}={patched}"], ours)
    run_tool("FerretDB", ["go", "build", "-trimpath", "-o", "ferretdb", "."], ours)
    return ours / "ferretdb"


def _url(port: int) -> str:
    return f"mongodb://127.0.0.1:{port}/learner"


def _answers(url: str) -> object:
    client: MongoClient[dict[str, object]] = MongoClient(
        url, serverSelectionTimeoutMS=1000, connectTimeoutMS=1000, socketTimeoutMS=1000
    )
    with client:
        return client.admin.command("ping")
