"""Keys of the services that may ask over HTTP: hashed, scoped, revocable."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

_KEYS = """
CREATE TABLE service_keys (
    key_id TEXT PRIMARY KEY CHECK (key_id ~ '^[0-9a-f]{16}$'),
    name TEXT NOT NULL CHECK (name ~ '^[^[:cntrl:]]{1,100}$'),
    secret_sha256 BYTEA NOT NULL CHECK (length(secret_sha256) = 32),
    scopes TEXT[] NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 16),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at TIMESTAMPTZ CHECK (expires_at > created_at),
    revoked_at TIMESTAMPTZ CHECK (revoked_at >= created_at)
);
COMMENT ON COLUMN service_keys.secret_sha256 IS 'of 256 random bits, so no slow hash is needed';
"""


def upgrade() -> None:
    op.execute(_KEYS)
