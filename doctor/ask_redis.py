"""What Redis tells of itself; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from config.settings import RedisSettings
from doctor.clocks import measured
from doctor.finding import size
from doctor.store import StoreFacts, Trouble
from sinks.redis import DECISION, connect, redis_errors

_NEARLY_FULL = 0.9


async def facts(settings: RedisSettings, *, has_run: bool) -> StoreFacts:
    """See `StoreFacts`. There are no tables in Redis.

    Raises:
        StoreUnavailable: nobody answers, or the server lets nobody in.
    """
    client = connect(settings)
    try:
        with redis_errors(client):
            before = time.time()
            seconds, micros = await client.time()
            after = time.time()
            info = await client.info("everything")
            refused = await _dry_run(client)
            place = client.connection_pool.connection_kwargs
    finally:
        await client.aclose()
    address = place.get("path") or f"{place.get('host')}:{place.get('port', 6379)}"
    return StoreFacts(
        "redis",
        f"{address}/{place.get('db', 0)}",
        str(info["redis_version"]),
        has_run=has_run,
        refusals=tuple(refusals(info, refused)),
        clock=measured("redis", before, seconds + micros / 1e6, after),
        troubles=tuple(troubles(info)),
        untold=("free disk", *(() if refused is not None else ("what this user may do",))),
    )


def refusals(info: Mapping[str, Any], refused: str | None) -> Iterator[str]:
    """``info``: Redis's own words. ``refused``: what it says to a write of ours, "" if it would
    take it, ``None`` if it does not tell."""
    if info.get("role") == "slave":
        yield "it is a replica, which takes no writes"
    if refused:
        yield refused
    for what in ("rdb_last_bgsave_status", "aof_last_write_status"):
        if info.get(what) == "err":
            yield f"it could not write to its disk ({what}), and may refuse us for it"


def troubles(info: Mapping[str, Any]) -> Iterator[Trouble]:
    """How full it is, and what it does then."""
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    policy = str(info.get("maxmemory_policy", ""))
    if most and used > _NEARLY_FULL * most:
        yield Trouble(
            "memory",
            "wrong" if policy == "noeviction" else "warning",
            f"{size(used)} of {size(most)}, {policy}",
            "raise maxmemory, or lower LEARNER_REDIS__EXPIRE_DAYS",
        )
    if most and policy.startswith("allkeys"):
        yield Trouble(
            "eviction",
            "warning",
            f"maxmemory_policy {policy}: the chat's live queue may be evicted like a cache",
            "set volatile-ttl or noeviction",
        )


async def _dry_run(client: Redis) -> str | None:
    """Since Redis 7, for users who may ask."""
    try:
        user = _text(await client.acl_whoami())
        told = await client.acl_dryrun(user, "HSET", f"{DECISION}doctor", "record", "")
    except (NoPermissionError, ResponseError):
        return None
    return "" if _text(told) == "OK" else _text(told)


def _text(answer: bytes | str) -> str:
    return answer.decode() if isinstance(answer, bytes) else answer
