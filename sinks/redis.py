"""Redis: the thresholds in force, each learner's latest decisions and deliveries, to read quickly.

=======================================  ===========================================================
``learner:decision:{user_id}:{tree_id}``  hash: ``record``, the decision as it stands on the topic,
                                          and ``position``, its offset there; the highest stays
``learner:delivery:{user_id}:{tree_id}``  hash: the same of a delivery, and its ``delivery_id``
``learner:thresholds:{tree_id}``          string: the whole document of the version in force
``learner:highest:{tree_id}``             hash: ``version`` and ``document`` of the highest version
=======================================  ===========================================================

The first three are dropped when nothing was written for ``expire_days``; thresholds are renewed
with every batch, so they stay as long as there are decisions. The fourth never goes, so that a
stream that wakes after a longer silence puts its own version back in force, and not version 0.

Of deliveries, one that a newer one superseded is none that a reader wants: its last word is left
out. When another delivery comes to stand under a key, the ``tree_id`` is published on the channel
``learner:delivery:{user_id}`` in the same instant; a change of its status alone is not.

A document is one value, set by one command: who reads it has a whole version, or the whole one
before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import redis.exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from config.settings import RedisSettings
from schemas.errors import InvalidSetting, RecordRefused, StoreUnavailable
from schemas.fields import TREE_IDS
from schemas.topics import DECISIONS, DELIVERY_LOG, TREE_VERSIONS
from sinks.contract import SinkRecord
from sinks.redis_scripts import (
    KEEP_DECISIONS,
    KEEP_DELIVERIES,
    KEEP_VERSION,
    RENEW_THRESHOLDS,
    SCRIPTS,
)

DECISION = "learner:decision:"
DELIVERY = "learner:delivery:"
THRESHOLDS = "learner:thresholds:"
HIGHEST = "learner:highest:"

MAX_RECORD_BYTES = 8 * 1024 * 1024
"""Ours, far below Redis's own 512 MB: a larger value would hold up everybody else's requests."""

_DAY_SECONDS = 86_400
_KEYS_AT_ONCE = 250
"""In one run of a script, during which Redis does nothing else: some 1 ms."""

_LATER = (
    redis.exceptions.ConnectionError,  # also: loading, too many clients, a wrong password
    redis.exceptions.TimeoutError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.NoPermissionError,
    redis.exceptions.TryAgainError,
    redis.exceptions.ClusterDownError,
    OSError,
)
_NOT_LET_IN = (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError)
_LATER_CODES = ("BUSY ", "MISCONF ", "NOREPLICAS ", "UNKILLABLE ")
"""What Redis answers when the same may succeed later, and the driver has no class for."""


class RedisSink:
    """One Redis, not a cluster: a script's keys stand in one place.

    What was acknowledged is as durable as the server's ``appendfsync``: with ``everysec`` a power
    cut, not a kill, can take the last second; `learner audit` shows it.

    ``prefix``: before its keys, if they are not the live ones.
    """

    name = "redis"
    topics: tuple[str, ...] = (DECISIONS, DELIVERY_LOG, TREE_VERSIONS)

    def __init__(self, settings: RedisSettings, prefix: str = "") -> None:
        self._settings = settings
        self._prefix = prefix
        self._seconds = settings.expire_days * _DAY_SECONDS
        self._client: Redis | None = None
        self._scripts: dict[str, Any] = {}

    async def setup(self) -> None:
        """Connects; Redis needs nothing made."""
        await self.close()
        self._client = client = connect(self._settings)
        with redis_errors(client):
            await client.ping()
        self._scripts = {text: client.register_script(text) for text in SCRIPTS}

    async def write(self, batch: Sequence[SinkRecord]) -> None:
        """Of each key only the newest of the batch, and that only if Redis has no newer one."""
        for record in batch:
            if len(record.raw) > MAX_RECORD_BYTES:
                raise RecordRefused(
                    f"{len(record.raw):,} bytes are more than the {MAX_RECORD_BYTES:,} that one "
                    "value in Redis may have"
                )
        if self._client is None:
            raise StoreUnavailable("redis: not set up")
        with redis_errors(self._client):
            for part in _chunks(newest_decisions(batch).items(), _KEYS_AT_ONCE):
                placed = [text for _, record in part for text in (record.offset, record.raw)]
                await self._run(KEEP_DECISIONS, [key for key, _ in part], *placed)
            for part in _chunks(newest_deliveries(batch).items(), _KEYS_AT_ONCE):
                told = [text for _, record in part for text in _delivery_told(record)]
                await self._run(KEEP_DELIVERIES, [key for key, _ in part], *told)
            for tree_id, record in highest_versions(batch).items():
                version = _value(record)["version"]
                await self._run(KEEP_VERSION, _threshold_keys(tree_id), version, record.raw)
            if batch:
                keys = [key for tree_id in TREE_IDS for key in _threshold_keys(tree_id)]
                await self._run(RENEW_THRESHOLDS, keys)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _run(self, script: str, keys: list[str], *arguments: int | str | bytes) -> None:
        named = [f"{self._prefix}{key}" for key in keys]
        await self._scripts[script](keys=named, args=[self._seconds, *arguments])


def newest_decisions(batch: Iterable[SinkRecord]) -> dict[str, SinkRecord]:
    """The decision with the highest offset of each key."""
    return _newest(
        (decision_key(value["user_id"], value["tree_id"]), record)
        for record in batch
        if record.topic == DECISIONS and (value := _value(record))
    )


def newest_deliveries(batch: Iterable[SinkRecord]) -> dict[str, SinkRecord]:
    """The record with the highest offset of each key; of what was superseded, none."""
    return _newest(
        (delivery_key(value["user_id"], value["decision_tree_id"]), record)
        for record in batch
        if record.topic == DELIVERY_LOG
        and (value := _value(record))["response_status"] != "superseded"
    )


def _newest(records: Iterable[tuple[str, SinkRecord]]) -> dict[str, SinkRecord]:
    newest: dict[str, SinkRecord] = {}
    for key, record in records:
        if key not in newest or newest[key].offset < record.offset:
            newest[key] = record
    return newest


def highest_versions(batch: Iterable[SinkRecord]) -> dict[str, SinkRecord]:
    """The highest version of each tree; of two with one number the first."""
    highest: dict[str, SinkRecord] = {}
    for record in batch:
        if record.topic == TREE_VERSIONS:
            value = _value(record)
            known = highest.get(value["tree_id"])
            if known is None or _value(known)["version"] < value["version"]:
                highest[value["tree_id"]] = record
    return highest


def decision_key(user_id: str, tree_id: str) -> str:
    """The key of a learner's latest decision by a tree; ``user_id`` in lower case."""
    return f"{DECISION}{user_id}:{tree_id}"


def delivery_key(user_id: str, tree_id: str) -> str:
    """The key of a learner's newest delivery by a tree; ``user_id`` in lower case."""
    return f"{DELIVERY}{user_id}:{tree_id}"


def delivery_channel(user_id: str) -> str:
    """The channel on which the ``tree_id`` is published once another delivery stands there."""
    return f"{DELIVERY}{user_id}"


def thresholds_key(tree_id: str) -> str:
    """The key of the version in force."""
    return f"{THRESHOLDS}{tree_id}"


def connect(settings: RedisSettings) -> Redis:
    """A client that says within ``timeout_seconds`` that nobody answers, and tries only once.

    Raises:
        InvalidSetting: the address is none.
    """
    password = settings.password.get_secret_value() if settings.password else None
    try:
        return Redis.from_url(
            settings.url,
            password=password,
            socket_timeout=settings.timeout_seconds,
            socket_connect_timeout=settings.timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise InvalidSetting(f"LEARNER_REDIS__URL: {settings.url!r}: {error}") from None


@contextmanager
def redis_errors(client: Redis) -> Iterator[None]:
    """Raises, instead of the driver's own where trying again can help:

    Raises:
        StoreUnavailable: nobody answers, nobody is let in, or Redis takes nothing now.
    """
    try:
        yield
    except _LATER as error:
        raise _unavailable(client, error) from None
    except redis.exceptions.ResponseError as error:
        if not str(error).startswith(_LATER_CODES):
            raise
        raise _unavailable(client, error) from None


def _unavailable(client: Redis, error: Exception) -> StoreUnavailable:
    place = client.connection_pool.connection_kwargs
    address = place.get("path") or f"{place.get('host')}:{place.get('port', 6379)}"
    said = (str(error).splitlines() or [""])[0][:500]
    return StoreUnavailable(
        f"redis at {address}, database {place.get('db', 0)}: {type(error).__name__}: {said}"
        f"{_advice(error)}"
    )


def _advice(error: Exception) -> str:
    if isinstance(error, _NOT_LET_IN):
        return ": LEARNER_REDIS__URL names the user, LEARNER_REDIS__PASSWORD goes with it"
    if isinstance(error, redis.exceptions.ResponseError | redis.exceptions.BusyLoadingError):
        return ""
    return ": start it, or say where it is with LEARNER_REDIS__URL"


def _delivery_told(record: SinkRecord) -> tuple[int | str | bytes, ...]:
    value = _value(record)
    return record.offset, record.raw, value["delivery_id"], value["decision_tree_id"]


def _threshold_keys(tree_id: str) -> list[str]:
    return [thresholds_key(tree_id), f"{HIGHEST}{tree_id}"]


def _value(record: SinkRecord) -> dict[str, Any]:
    if record.value is None:
        raise RecordRefused(f"a record of {record.topic} without a value")
    return record.value


def _chunks(
    items: Iterable[tuple[str, SinkRecord]], size: int
) -> Iterator[list[tuple[str, SinkRecord]]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part
