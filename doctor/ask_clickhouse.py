"""What ClickHouse tells of itself; nothing is written."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

from clickhouse_driver import Client
from clickhouse_driver.errors import ErrorCodes, ServerException

from config.settings import ClickhouseSettings
from doctor.clocks import ClockFacts, measured
from doctor.store import StoreFacts
from sinks.clickhouse import connect, reaching
from sinks.clickhouse_tables import ALL_NAMES

_HALF_A_SECOND = 0.5
_READ_ONLY = {"1": "it reads only (readonly = 1)", "2": "it reads only (readonly = 2)"}
_ROOM = "SELECT min(free_space), argMin(total_space, free_space) FROM system.disks"


async def facts(settings: ClickhouseSettings, *, has_run: bool) -> StoreFacts:
    """See `StoreFacts`.

    Raises:
        StoreUnavailable: nobody answers, or the server lets nobody in.
    """
    return await asyncio.to_thread(_facts, settings, has_run=has_run)


def _facts(settings: ClickhouseSettings, *, has_run: bool) -> StoreFacts:
    parts = urlsplit(settings.url)
    untold = []
    with connect(settings) as client, reaching(client):
        before = time.time()
        ((clock, version),) = client.execute("SELECT toUnixTimestamp(now()), version()")
        after = time.time()
        ((readonly,),) = client.execute("SELECT value FROM system.settings WHERE name = 'readonly'")
        there = {name for (name,) in client.execute("SHOW TABLES")}
        ((disks,),) = client.execute(
            "SELECT count() FROM system.tables WHERE database = 'system' AND name = 'disks'"
        )
        room = client.execute(_ROOM)[0] if disks else None
        refused = [_READ_ONLY[readonly]] if readonly in _READ_ONLY else []
        if not refused:
            granted = _granted(client, "INSERT ON inbox")
            if granted is None:
                untold.append("whether this user has been granted INSERT")
            elif not granted:
                refused.append("this user may not INSERT into inbox")
    if room is None:
        untold.append("free disk")
    return StoreFacts(
        "clickhouse",
        parts.netloc.rpartition("@")[2] + parts.path,
        version,
        missing=tuple(name for name in ALL_NAMES if name not in there),
        has_run=has_run,
        refusals=tuple(refused),
        disk=room,
        clock=_of_whole_seconds(measured("clickhouse", before, clock, after)),
        untold=tuple(untold),
    )


def _granted(client: Client, what: str) -> bool | None:
    """``None``: the server is too old to be asked (CHECK GRANT came with 24.12)."""
    try:
        ((granted,),) = client.execute(f"CHECK GRANT {what}")  # what is ours
    except ServerException as error:
        if error.code == ErrorCodes.SYNTAX_ERROR:
            return None
        raise
    return bool(granted)


def _of_whole_seconds(clock: ClockFacts) -> ClockFacts:
    """What is left out of its answer is half a second, give or take as much."""
    return clock._replace(ahead=clock.ahead + _HALF_A_SECOND, unsure=clock.unsure + _HALF_A_SECOND)
