"""`learner keys` and `learner token` as a person types them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from api_suite.served import own_database
from chat.tokens import verify_token
from cli.main import app
from config.settings import PostgresSettings
from servers.kafka import free_ports
from servers.store_server import StoreServer
from sinks.postgres_connection import connected
from sinks.service_keys import ServiceKey, find_key, split_key

USER = "5f0e6c3a-1b7d-4c58-8f5e-2d9a7b1c4e60"
SECRET = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def database(postgres_server: StoreServer) -> Iterator[PostgresSettings]:
    with own_database(postgres_server) as settings:
        yield settings


def learner(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=variables)


def keys(database: PostgresSettings, *arguments: str) -> Result:
    password = database.password.get_secret_value() if database.password else ""
    given = {"LEARNER_POSTGRES__PASSWORD": password} if password else {}
    return learner("keys", *arguments, LEARNER_POSTGRES__URL=database.url, **given)


def listed(database: PostgresSettings) -> dict[str, dict[str, object]]:
    done = keys(database, "list", "--json")
    assert done.exit_code == 0, done.output
    return {key["key_id"]: key for key in map(json.loads, done.stdout.splitlines())}


def test_a_key_is_made_shown_once_listed_and_revoked(database: PostgresSettings) -> None:
    done = keys(database, "create", "tutor", "--scope", "decisions:read", "--scope", "chat:tokens")
    assert done.exit_code == 0, done.output
    key_id, secret = split_key(done.stdout.strip()) or ("", "")
    assert key_id
    assert "not shown again" in done.stderr
    key = listed(database)[key_id]
    assert (key["name"], key["scopes"], key["state"], key["expires_at"]) == (
        "tutor", ["chat:tokens", "decisions:read"], "good", None,
    )  # fmt: skip
    for shown in (keys(database, "list"), keys(database, "list", "--json")):
        assert key_id in shown.stdout
        assert secret not in shown.output
        assert "sha256" not in shown.output
    assert keys(database, "revoke", key_id).exit_code == 0
    first = listed(database)[key_id]["revoked_at"]
    assert str(listed(database)[key_id]["state"]).startswith("revoked ")
    assert keys(database, "revoke", key_id).exit_code == 0  # it stays revoked since the first time
    assert listed(database)[key_id]["revoked_at"] == first


def test_a_key_may_expire(database: PostgresSettings) -> None:
    done = keys(database, "create", "Ünïcode O'Brien", "--scope", "metrics:read", "--expires", "7")
    key_id, secret = split_key(done.stdout.strip()) or ("", "")

    async def kept() -> ServiceKey | None:
        async with connected(database) as connection:
            return await find_key(connection, key_id)

    key = asyncio.run(kept())
    assert key is not None
    assert key.expires_at is not None
    assert timedelta(days=6.9) < key.expires_at - datetime.now(UTC) <= timedelta(days=7)
    assert key.is_opened_by(secret)
    assert not key.is_opened_by(secret[:-1])
    assert str(listed(database)[key_id]["state"]).startswith("good until ")


def test_two_keys_share_nothing(database: PostgresSettings) -> None:
    made = [
        split_key(keys(database, "create", "x", "--scope", "decisions:read").stdout.strip())
        for _ in range(2)
    ]
    assert made[0] is not None
    assert made[1] is not None
    assert made[0][0] != made[1][0]
    assert made[0][1] != made[1][1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "x", "--scope", "everything"], "'everything' is no scope; there are"),
        (["create", "", "--scope", "decisions:read"], "a name has"),
        (["create", "a" * 101, "--scope", "decisions:read"], "a name has"),
        (["create", "a\nb", "--scope", "decisions:read"], "a name has"),
        (["revoke", "f" * 16], "there is no key"),
        (["revoke", "'; DROP TABLE service_keys; --"], "there is no key"),
    ],
)
def test_what_cannot_be_is_said(
    database: PostgresSettings, arguments: list[str], said: str
) -> None:
    done = keys(database, *arguments)
    assert done.exit_code == 1
    assert said in done.stderr
    assert done.stdout == ""


def test_without_a_scope_or_a_database_there_is_no_key(database: PostgresSettings) -> None:
    assert keys(database, "create", "x").exit_code == 2
    (port,) = free_ports(1)
    done = learner("keys", "list", LEARNER_POSTGRES__URL=f"postgresql://learner@127.0.0.1:{port}/x")
    assert done.exit_code == 1
    assert str(port) in done.stderr


def test_the_table_takes_no_half_key(database: PostgresSettings) -> None:
    assert keys(database, "create", "x", "--scope", "decisions:read").exit_code == 0
    wrong = {
        "key_id": "'F'",
        "name": "E'a\\nb'",
        "secret_sha256": "'\\x00'",
        "scopes": "'{}'",
        "expires_at": "created_at",
        "revoked_at": "created_at - interval '1 s'",
    }

    async def change() -> None:
        async with connected(database) as connection:
            for column, value in wrong.items():
                sql = f"UPDATE service_keys SET {column} = {value}"  # noqa: S608  # ours
                with pytest.raises(asyncpg.CheckViolationError):
                    await connection.execute(sql)

    asyncio.run(change())


def test_a_token_for_a_learner_and_for_an_expert() -> None:
    done = learner("token", USER, LEARNER_CHAT__TOKEN_SECRET=SECRET)
    assert done.exit_code == 0, done.output
    token = verify_token(SECRET, done.stdout.strip(), datetime.now(UTC))
    assert (token.user_id, token.role, token.name) == (USER, "learner", None)
    done = learner(
        "token", USER, "--expert", "Ada", "--seconds", "60", "--course", "algebra",
        LEARNER_CHAT__TOKEN_SECRET=SECRET,
    )  # fmt: skip
    token = verify_token(SECRET, done.stdout.strip(), datetime.now(UTC))
    assert (token.role, token.name, token.course_id) == ("expert", "Ada", "algebra")
    assert token.expires_at - token.issued_at == timedelta(seconds=60)


def test_no_token_without_a_secret_or_a_learner() -> None:
    done = learner("token", USER)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "LEARNER_CHAT__TOKEN_SECRET" in done.stderr
    done = learner("token", USER, LEARNER_CHAT__TOKEN_SECRET=SECRET[:31])
    assert "32 characters or more" in done.stderr
    done = learner("token", "ada", LEARNER_CHAT__TOKEN_SECRET=SECRET)
    assert done.exit_code == 1
    assert "UUID" in done.stderr
