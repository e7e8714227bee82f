"""PostgreSQL for tests: in a container, or by the machine's ``initdb`` and ``postgres``."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from config.settings import PostgresSettings
from servers.kafka import docker_answers
from servers.kafka_jars import ServerUnavailable
from servers.store_server import ChildServer, ContainerServer, StoreServer

IMAGE = "postgres:17-alpine"


def start() -> StoreServer:
    """One that answers, with a user and a database ``learner`` that need no password.

    Raises:
        ServerUnavailable: neither an engine nor PostgreSQL is here.
    """
    if docker_answers():
        server: StoreServer = ContainerServer(
            IMAGE,
            5432,
            _url,
            _answers,
            {
                "POSTGRES_USER": "learner",
                "POSTGRES_DB": "learner",
                "POSTGRES_HOST_AUTH_METHOD": "trust",
            },
        )
    else:
        server = PostgresServer(_programs())
    server.start()
    return server


class PostgresServer(ChildServer):
    """Its processes leave the group of the first one, so each is signalled by itself."""

    def __init__(self, programs: Path) -> None:
        super().__init__(
            "postgres",
            lambda data, port: _command(programs, data, port),
            _url,
            _answers,
            lambda data: _prepare(programs, data),
            {"LC_ALL": "C"},
        )

    def _signal(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        first = self._process.pid
        with suppress(ProcessLookupError):
            if how == signal.SIGTERM:
                os.kill(first, signal.SIGINT)  # ends connections, where SIGTERM waits for them
                return
            if how in (signal.SIGKILL, signal.SIGSTOP):
                os.kill(first, signal.SIGSTOP)  # so that it starts no more of them meanwhile
            for pid in [*_children(first), first]:
                with suppress(ProcessLookupError):
                    os.kill(pid, how)


@asynccontextmanager
async def new_database(server: StoreServer) -> AsyncIterator[PostgresSettings]:
    """An empty database of the test's own; it goes with the test."""
    name = f"t{uuid.uuid4().hex}"
    admin = await asyncpg.connect(server.url, password=server.password)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        url = urlsplit(server.url)._replace(path=f"/{name}").geturl()
        yield PostgresSettings(url=url, password=server.password, timeout_seconds=20)
    finally:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.terminate()


def _url(port: int) -> str:
    return f"postgresql://learner@127.0.0.1:{port}/learner"


def _programs() -> Path:
    """Their folder: on the path, or where Debian puts them."""
    found = shutil.which("initdb")
    places = [Path(found).resolve()] if found else []
    for initdb in [*places, *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]:
        if (initdb.parent / "postgres").exists():
            return initdb.parent
    raise ServerUnavailable("needs Docker, or PostgreSQL's initdb and postgres", possible=False)


def _as_postgres(*command: str) -> list[str]:
    """PostgreSQL does not run as root. (``su`` would stand between it and our signals.)"""
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]


def _prepare(programs: Path, data: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(data, "postgres", "postgres")
    made = ["-D", str(data), "-U", "learner", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    _run(_as_postgres(f"{programs}/initdb", *made), "")
    _run(
        _as_postgres(f"{programs}/postgres", "--single", "-D", str(data), "postgres"),
        "CREATE DATABASE learner\n",
    )


def _run(command: list[str], said: str) -> None:
    done = subprocess.run(
        command, input=said, capture_output=True, text=True, check=False, cwd="/", timeout=60
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [""]
        raise ServerUnavailable(f"{command[-1]}: {lines[-1][:300]}", possible=True)


def _command(programs: Path, data: Path, port: int) -> list[str]:
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_wal_size": "2GB",
    }
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return _as_postgres(f"{programs}/postgres", "-D", str(data), *flags)


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    return []


def _answers(url: str) -> None:
    """In a thread, since who starts a server may be in a loop of their own."""

    async def ask() -> None:
        connection = await asyncpg.connect(url, timeout=5)
        await connection.close(timeout=5)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, ask()).result()
