"""The newest ClickHouse (chdb) inside the process, where the driver's client would stand.

Blocks go in and out in the Native format, written and read by the driver itself: so its types meet
those of a ClickHouse that has them all. What is not tested by it is the connection.
"""

from __future__ import annotations

import atexit
import itertools
import re
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from chdb.session import Session
from clickhouse_driver.block import ColumnOrientedBlock
from clickhouse_driver.bufferedreader import BufferedSocketReader
from clickhouse_driver.bufferedwriter import BufferedSocketWriter
from clickhouse_driver.client import Client
from clickhouse_driver.errors import ServerException
from clickhouse_driver.streams.native import BlockInputStream, BlockOutputStream
from clickhouse_driver.util.escape import escape_params

_SESSION: list[tuple[Session, tempfile.TemporaryDirectory[str]]] = []
_LOCK = threading.Lock()  # one session for the process, with one database in use
_BUFFER = 1_048_576


class InProcessClient:
    """What we use of ``clickhouse_driver.Client``, in an empty database of its own."""

    def __init__(self) -> None:
        if not _SESSION:
            folder = tempfile.TemporaryDirectory(prefix="learner-chdb-")
            _SESSION.append((Session(f"{folder.name}/data"), folder))
            atexit.register(_end)
        self._session = _SESSION[0][0]
        self.database = f"t{uuid.uuid4().hex[:12]}"
        self.connection = SimpleNamespace(hosts=[("chdb", 0)], database=self.database)
        self._context = SimpleNamespace(
            client_settings=Client("nowhere").client_settings,
            settings={},
            server_info=SimpleNamespace(used_revision=0, get_timezone=lambda: "UTC"),
        )
        self._block = Path(_SESSION[0][1].name, f"{self.database}.native")
        self._session.query(f"CREATE DATABASE {self.database}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.disconnect()

    def disconnect(self) -> None:
        """The database stays: a client may connect again."""

    def execute(
        self, sql: str, params: Any = None, settings: Any = None, columnar: bool = False
    ) -> Any:
        if columnar:
            return self._insert(sql, params, settings or {})
        if params is not None:
            sql %= escape_params(params, self._context)
        changes = [f"{name} = {value}" for name, value in (settings or {}).items()]
        suffix = f" SETTINGS {', '.join(changes)}" if changes else ""
        return list(self._blocks(self._query(sql + suffix)))

    def execute_iter(self, sql: str, params: Any) -> Iterator[Any]:
        return iter(self.execute(sql, params))

    def _insert(self, sql: str, columns: Sequence[list[Any]], settings: dict[str, Any]) -> int:
        found = re.fullmatch(r"INSERT INTO (\w+) \((.*)\) VALUES", sql)
        assert found is not None, sql
        table, names = found[1], re.findall(r"`([^`]+)`", found[2])
        types = dict(
            self.execute(
                "SELECT name, type FROM system.columns "
                "WHERE database = currentDatabase() AND table = %(table)s",
                {"table": table},
            )
        )
        block = ColumnOrientedBlock([(name, types[name]) for name in names], list(columns))
        with self._block.open("wb") as written:
            out = BufferedSocketWriter(SimpleNamespace(sendall=written.write), _BUFFER)
            BlockOutputStream(out, self._context).write(block)
        sent = f"SELECT * FROM file('{self._block}', 'Native')"  # noqa: S608  # a name of ours
        changes = ", ".join(f"{name} = {value}" for name, value in settings.items())
        self._query(sql.replace("VALUES", f"SETTINGS {changes} {sent}"))
        return block.num_rows

    def _query(self, sql: str) -> bytes:
        with _LOCK:
            try:
                self._session.query(f"USE {self.database}")
                return bytes(self._session.query(sql, "Native").bytes())
            except RuntimeError as error:
                code = re.search(r"Code: (\d+)", str(error))
                raise ServerException(str(error), int(code[1]) if code else None) from None

    def _blocks(self, native: bytes) -> Iterator[tuple[Any, ...]]:
        left = memoryview(native)

        def receive(buffer: Any) -> int:
            nonlocal left
            size = min(len(buffer), len(left))
            buffer[:size] = left[:size]
            left = left[size:]
            return size

        stream = BlockInputStream(
            BufferedSocketReader(SimpleNamespace(recv_into=receive), _BUFFER), self._context
        )
        read: list[Any] = []
        try:
            while native:
                read.append(stream.read().get_rows())
        except EOFError:
            pass
        return itertools.chain.from_iterable(read)


def _end() -> None:
    session, folder = _SESSION.pop()
    session.close()
    folder.cleanup()
