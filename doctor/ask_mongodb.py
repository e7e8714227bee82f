"""What MongoDB tells of itself; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from config.settings import MongodbSettings
from doctor.clocks import measured
from doctor.store import StoreFacts
from sinks.mongodb import connect, mongodb_errors
from sinks.mongodb_documents import COLLECTIONS
from sinks.mongodb_transcripts import COLLECTION

_NEEDED = ("find", "insert", "update", "remove", "createIndex")


async def facts(settings: MongodbSettings, *, has_run: bool) -> StoreFacts:
    """See `StoreFacts`.

    Raises:
        StoreUnavailable: nobody answers, or the server lets nobody in.
    """
    database = connect(settings)
    try:
        with mongodb_errors(database):
            before = time.time()
            hello = await database.command("hello")
            after = time.time()
            version = (await database.command("buildInfo"))["version"]
            allowed = await database.command("connectionStatus", showPrivileges=True)
            room = await database.command("dbStats")
            there = set(await database.list_collection_names())
            address = ", ".join(f"{h}:{p}" for h, p in sorted(database.client.nodes))
    finally:
        await database.client.close()
    # Those that the sink's start makes, for their indexes; another comes with its first document.
    wanted = {COLLECTION, *(kept.name for kept in COLLECTIONS.values() if kept.indexes)}
    free, total = room.get("fsTotalSize", 0) - room.get("fsUsedSize", 0), room.get("fsTotalSize", 0)
    return StoreFacts(
        "mongodb",
        f"{address}/{database.name}",
        version,
        missing=tuple(sorted(wanted - there)),
        has_run=has_run,
        refusals=refusals(hello, allowed["authInfo"], database.name),
        disk=(int(free), int(total)) if total else None,
        clock=measured("mongodb", before, hello["localTime"].timestamp(), after),
        untold=() if total else ("free disk",),
    )


def refusals(
    hello: Mapping[str, Any], allowed: Mapping[str, Any], database: str
) -> tuple[str, ...]:
    """Why we could not write; where nobody logs in, everybody may."""
    told = [] if hello.get("isWritablePrimary", True) else ["it is no primary, and takes no writes"]
    if allowed.get("authenticatedUsers"):
        granted = _granted(allowed.get("authenticatedUserPrivileges", ()), database)
        lacking = [action for action in _NEEDED if action not in granted]
        if lacking:
            told.append(f"this user may not {', '.join(lacking)} in {database}")
    return tuple(told)


def _granted(privileges: Sequence[Mapping[str, Any]], database: str) -> set[str]:
    return {
        action
        for privilege in privileges
        for action in privilege["actions"]
        if privilege["resource"].get("anyResource")
        or (
            privilege["resource"].get("db") in {"", database}
            and privilege["resource"].get("collection") == ""
        )
    }
