"""ClickHouse: every event as a row, what it tells in typed columns, and the days added up.

One insert a batch, column by column. The driver blocks, so it runs in a thread of its own, where
the columns are made too. What was inserted is as durable as the server makes an insert.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar, get_args

from clickhouse_driver import Client
from clickhouse_driver import errors as driver
from clickhouse_driver.errors import ErrorCodes
from clickhouse_driver.util.helpers import parse_url
from pydantic import BaseModel

from config.settings import ClickhouseSettings
from schemas.errors import RecordRefused, StoreUnavailable
from schemas.event import LearnerEvent
from sinks.clickhouse_tables import (
    ALL_NAMES,
    FIRST_DAY,
    INSERT,
    KAFKA_OFFSET,
    KAFKA_PARTITION,
    LAST_DAY,
    OF_THE_RECORD,
    RECORD,
    SENT,
    WITH_RETENTION,
    Column,
    retention,
    statements,
)
from sinks.contract import SinkRecord

T = TypeVar("T")

# With a traceback at each try, of what we raise as an error of ours.
logging.getLogger("clickhouse_driver.connection").setLevel(logging.ERROR)

_AT_ONCE = 256
"""Records whose columns are made together: few enough to stay in the processor's cache."""


class _Told(NamedTuple):
    """Columns of `inbox` by whether events of one type tell them; ``get``: of those ``always``."""

    always: tuple[str, ...]
    get: Callable[[Any], tuple[Any, ...]]
    sometimes: tuple[Column, ...]
    never: tuple[Column, ...]


def _told_by(event: type[BaseModel]) -> _Told:
    fields = event.model_fields
    told = [column for column in SENT.values() if column not in OF_THE_RECORD]
    known = [column for column in told if column.key in fields]
    always = [column for column in known if fields[column.key].is_required()]
    return _Told(
        tuple(column.name for column in always),
        itemgetter(*(column.key for column in always)),
        tuple(column for column in known if column not in always),
        tuple(column for column in told if column not in known),
    )


_TOLD_BY = {
    get_args(event.model_fields["type"].annotation)[0]: _told_by(event)
    for event in get_args(get_args(LearnerEvent)[0])
}

_INSERT_SETTINGS = {
    # Our tables keep out what comes twice; a block that ClickHouse takes for one that it has, it
    # would also keep from the views, which may have missed it.
    "insert_deduplicate": 0,
    "materialized_views_ignore_errors": 0,
    "async_insert": 0,
    # A batch from the topic's beginning may span any number of months.
    "max_partitions_per_insert_block": 0,
}

_REFUSED = {
    ErrorCodes.TOO_LARGE_STRING_SIZE,
    ErrorCodes.VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE,
    469,  # VIOLATED_CONSTRAINT: a CHECK that an operator added
}

_MENDED = {
    # It is busy, full or ending, or cannot reach its own kind.
    ErrorCodes.TIMEOUT_EXCEEDED, ErrorCodes.TOO_SLOW, ErrorCodes.CANNOT_ALLOCATE_MEMORY,
    ErrorCodes.MEMORY_LIMIT_EXCEEDED, ErrorCodes.TOO_MANY_SIMULTANEOUS_QUERIES,
    ErrorCodes.TOO_MANY_PARTS, ErrorCodes.NOT_ENOUGH_SPACE, ErrorCodes.QUERY_WAS_CANCELLED,
    ErrorCodes.CANNOT_WRITE_TO_FILE_DESCRIPTOR, ErrorCodes.ABORTED, ErrorCodes.SOCKET_TIMEOUT,
    ErrorCodes.NETWORK_ERROR, ErrorCodes.ALL_CONNECTION_TRIES_FAILED, ErrorCodes.NO_ZOOKEEPER,
    ErrorCodes.UNEXPECTED_ZOOKEEPER_ERROR, ErrorCodes.KEEPER_EXCEPTION,
    ErrorCodes.UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE, ErrorCodes.REPLICA_IS_NOT_IN_QUORUM,
    ErrorCodes.UNKNOWN_STATUS_OF_INSERT, ErrorCodes.TABLE_IS_READ_ONLY,
    # Its operator has to do something.
    ErrorCodes.UNKNOWN_TABLE, ErrorCodes.UNKNOWN_DATABASE, ErrorCodes.TABLE_IS_DROPPED,
    ErrorCodes.READONLY, ErrorCodes.QUOTA_EXPIRED, ErrorCodes.UNKNOWN_USER,
    ErrorCodes.WRONG_PASSWORD, ErrorCodes.REQUIRED_PASSWORD, ErrorCodes.IP_ADDRESS_NOT_ALLOWED,
    ErrorCodes.DATABASE_ACCESS_DENIED,
    497,  # ACCESS_DENIED
    516,  # AUTHENTICATION_FAILED
}  # fmt: skip


class ClickhouseSink:
    """Keeps ``learner.events`` in the tables of ``sinks.clickhouse_tables``."""

    name = "clickhouse"
    topics = ("learner.events",)

    def __init__(self, settings: ClickhouseSettings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "clickhouse")
        self._client: Client | None = None
        self._insert_settings: dict[str, int] = {}

    async def setup(self) -> None:
        await self._in_thread(self._setup)

    async def write(self, batch: Sequence[SinkRecord]) -> None:
        await self._in_thread(lambda: self._write(batch))

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await self._in_thread(client.disconnect)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, do: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, do)

    def _setup(self) -> None:
        if self._client is None:
            self._client = connect(self._settings)
        client = self._client
        with reaching(client):
            if self._settings.create_tables:
                for statement in statements(self._settings.retention_days):
                    client.execute(statement)
                _keep_for(client, self._settings.retention_days)
            known = {name for (name,) in client.execute("SELECT name FROM system.settings")}
            tables = {name for (name,) in client.execute("SHOW TABLES")}
        if missing := [name for name in ALL_NAMES if name not in tables]:
            raise StoreUnavailable(
                f"ClickHouse at {_address(client)} has no {', '.join(missing)}: make them "
                "as sinks/clickhouse_tables.py has them, or set clickhouse.create_tables"
            )
        self._insert_settings = {k: v for k, v in _INSERT_SETTINGS.items() if k in known}

    def _write(self, batch: Sequence[SinkRecord]) -> None:
        assert self._client is not None, "setup() comes first"  # noqa: S101
        if not batch:
            return
        columns = sent_columns(batch)
        with reaching(self._client):
            self._client.execute(INSERT, columns, settings=self._insert_settings, columnar=True)


def sent_columns(batch: Sequence[SinkRecord]) -> list[list[Any]]:
    """The columns of ``inbox``: a row for each event, of its first telling in the batch.

    Rows are sorted by type, as most columns are told by few types.

    Raises:
        RecordRefused: a day that ClickHouse would store as another one.
    """
    columns: dict[str, list[Any]] = {name: [] for name in SENT}
    by_type: dict[str, list[SinkRecord]] = {}
    for record in batch:
        by_type.setdefault(record.value["type"], []).append(record)  # type: ignore[index]
    for type_, alike in by_type.items():
        for at in range(0, len(alike), _AT_ONCE):
            _add(columns, _TOLD_BY[type_], alike[at : at + _AT_ONCE])
    for time in (min(columns["time"]), max(columns["time"])):
        if not FIRST_DAY <= time[:10] <= LAST_DAY:
            raise RecordRefused(
                f"occurred_at {time}: a Date of ClickHouse holds {FIRST_DAY} to {LAST_DAY}"
            )
    if len(set(columns["event"])) < len(batch) and len(first := first_tellings(batch)) < len(batch):
        return sent_columns(first)
    return list(columns.values())


def _add(columns: dict[str, list[Any]], told: _Told, records: Sequence[SinkRecord]) -> None:
    """Rows of records of one type."""
    values: tuple[Any, ...]
    _, partitions, offsets, _, values, raws = zip(*records, strict=True)
    columns[KAFKA_PARTITION.name] += partitions
    columns[KAFKA_OFFSET.name] += offsets
    columns[RECORD.name] += raws
    for name, column in zip(told.always, zip(*map(told.get, values), strict=True), strict=True):
        columns[name] += column
    for column in told.sometimes:
        name, field, untold, part = column.name, column.key, column.untold, column.part
        if part is None:
            columns[name] += [value.get(field, untold) for value in values]
        else:
            columns[name] += [part(value[field]) if field in value else untold for value in values]
    for column in told.never:
        columns[column.name] += [column.untold] * len(values)


def first_tellings(batch: Sequence[SinkRecord]) -> list[SinkRecord]:
    """Of each event (learner, UTC day, id) the record with the lowest offset."""
    first: dict[tuple[str, str, str], SinkRecord] = {}
    for record in sorted(batch, key=lambda record: record.offset):
        value: Any = record.value
        first.setdefault((value["user_id"], value["occurred_at"][:10], value["event_id"]), record)
    return list(first.values())


def connect(settings: ClickhouseSettings) -> Client:
    """A client that connects when it is first used. Each request has its timeout."""
    host, options = parse_url(settings.url)
    if settings.password is not None:
        options["password"] = settings.password.get_secret_value()
    limit = settings.timeout_seconds
    limits = dict.fromkeys(
        ("connect_timeout", "send_receive_timeout", "sync_request_timeout"), limit
    )
    return Client(host, **{**options, **limits})


@contextmanager
def reaching(client: Client) -> Iterator[None]:
    """What the client raises, as ours.

    Raises:
        StoreUnavailable: nobody answers, or the server cannot now.
        RecordRefused: it takes no such value.
    """
    where = f"ClickHouse at {_address(client)}"
    try:
        yield
    except (driver.NetworkError, driver.SocketTimeoutError, EOFError, OSError) as error:
        said = _first_line(error) or type(error).__name__
        raise StoreUnavailable(
            f"{where} does not answer: {said}: start it, or set LEARNER_CLICKHOUSE__URL"
        ) from None
    except driver.TypeMismatchError as error:
        raise RecordRefused(_first_line(error)) from None
    except driver.ServerException as error:
        if error.code in _REFUSED:
            raise RecordRefused(_first_line(error)) from None
        if error.code in _MENDED:
            raise StoreUnavailable(f"{where} says: {_first_line(error)}") from None
        raise


def _keep_for(client: Client, days: int) -> None:
    """Tables made with another retention get this one; old parts go when ClickHouse merges."""
    for name, made in client.execute(
        "SELECT name, create_table_query FROM system.tables "
        "WHERE database = currentDatabase() AND name IN %(names)s",
        {"names": WITH_RETENTION},
    ):
        if f"toUInt32(occurred_on) + {days}," not in made:
            client.execute(
                f"ALTER TABLE {name} MODIFY TTL {retention(days)}",
                settings={"materialize_ttl_after_modify": 0},
            )


def _address(client: Client) -> str:
    host, port = client.connection.hosts[0]
    return f"{host}:{port}/{client.connection.database}"


def _first_line(error: Exception) -> str:
    lines = str(getattr(error, "message", "") or error).strip().splitlines() or [""]
    return lines[0][:500]
