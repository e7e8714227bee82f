"""Keys of the services that call us over HTTP, in PostgreSQL: hashed, scoped, revocable.

A key is ``lk_<key_id>_<secret>``: 16 hex digits by which it is known, and 256 random bits. Only
the secret's SHA-256 is kept; of that many random bits it is as good as a slow hash.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from typing import NamedTuple

import asyncpg

DECISIONS_READ = "decisions:read"
CHAT_TOKENS = "chat:tokens"
CHAT_EXPERTS = "chat:experts"
METRICS_READ = "metrics:read"
SCOPES = {
    DECISIONS_READ: "read every learner's latest decisions, and be told of new ones",
    CHAT_TOKENS: "make chat tokens for learners",
    CHAT_EXPERTS: "make chat tokens for experts as well",
    METRICS_READ: "read /metrics from another machine",
}
"""What a key may be good for."""

_KEY = re.compile(r"lk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)


class ServiceKey(NamedTuple):
    """A row of ``service_keys``. ``expires_at``, ``revoked_at``: ``None`` for never, not yet."""

    key_id: str
    name: str
    secret_sha256: bytes
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_opened_by(self, secret: str) -> bool:
        """Whether that is its secret; takes the same time whatever is wrong with it."""
        return compare_digest(self.secret_sha256, _digest(secret))


_COLUMNS = ", ".join(ServiceKey._fields)


def split_key(text: str) -> tuple[str, str] | None:
    """``key_id`` and secret of what may be a key; ``None`` for what cannot be one."""
    found = _KEY.fullmatch(text)
    return None if found is None else (found[1], found[2])


async def create_key(
    connection: asyncpg.Connection,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None = None,
) -> str:
    """A new key as its holder needs it: nobody can be told it again."""
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    await connection.execute(
        "INSERT INTO service_keys (key_id, name, secret_sha256, scopes, expires_at) "
        "VALUES ($1, $2, $3, $4, $5)",
        key_id,
        name,
        _digest(secret),
        sorted(set(scopes)),
        expires_at,
    )
    return f"lk_{key_id}_{secret}"


async def find_key(connection: asyncpg.Connection, key_id: str) -> ServiceKey | None:
    """Also one that has expired or was revoked."""
    found = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM service_keys WHERE key_id = $1",  # noqa: S608  # names are ours
        key_id,
    )
    return None if found is None else _service_key(found)


async def all_keys(connection: asyncpg.Connection) -> list[ServiceKey]:
    """The oldest first."""
    found = await connection.fetch(
        f"SELECT {_COLUMNS} FROM service_keys ORDER BY created_at, key_id"  # noqa: S608  # names are ours
    )
    return [_service_key(row) for row in found]


async def revoke_key(connection: asyncpg.Connection, key_id: str) -> datetime | None:
    """Since when it is revoked: now, or when it was before; ``None`` if there is no such key."""
    revoked_at: datetime | None = await connection.fetchval(
        "UPDATE service_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = $1 "
        "RETURNING revoked_at",
        key_id,
    )
    return revoked_at


def _service_key(row: asyncpg.Record) -> ServiceKey:
    key = ServiceKey(*row)
    return key._replace(scopes=tuple(key.scopes))


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
