"""`learner keys`: keys of the services that call us over HTTP."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli.failures import fail
from cli.json_lines import write_json
from cli.options import settings_of
from config.settings import PostgresSettings

if TYPE_CHECKING:
    from sinks.service_keys import ServiceKey

app = typer.Typer(no_args_is_help=True, help="Keys of the services that call us over HTTP.")

Json = Annotated[bool, typer.Option("--json", help="JSON lines, for a program.")]
_LONGEST_NAME = 100


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose it is, for people: 1–100 characters.")],
    scope: Annotated[
        list[str],
        typer.Option(
            help="What it is good for; repeatable: decisions:read, chat:tokens, chat:experts, "
            "metrics:read."
        ),
    ],
    expires: Annotated[
        int | None, typer.Option(metavar="DAYS", min=1, max=3650, help="Good for so many days.")
    ] = None,
) -> None:
    """Makes a key and prints it. It is shown this once: only its digest is kept."""
    from sinks.service_keys import SCOPES  # noqa: PLC0415

    if unknown := [each for each in scope if each not in SCOPES]:
        fail(f"{unknown[0]!r} is no scope; there are {', '.join(SCOPES)}")
    if not (0 < len(name) <= _LONGEST_NAME and name.isprintable()):
        fail(f"a name has 1 to {_LONGEST_NAME} printable characters")
    until = None if expires is None else datetime.now(UTC) + timedelta(days=expires)
    key = asyncio.run(_create(_postgres(ctx), name, scope, until))
    typer.echo(key)
    ends = "until it is revoked" if until is None else f"until {until:%Y-%m-%d %H:%M} UTC"
    typer.echo(f"keep it safe, it is not shown again; good {ends}", err=True)


@app.command("list")
def list_keys(ctx: typer.Context, as_json: Json = False) -> None:
    """Every key, without its secret."""
    found = asyncio.run(_list(_postgres(ctx)))
    if not found:
        typer.echo("there are no keys: learner keys create NAME --scope decisions:read", err=True)
    now = datetime.now(UTC)
    for key in found:
        if as_json:
            told = key._asdict()
            del told["secret_sha256"]
            write_json({**told, "state": _state(key, now)})
        else:
            made = f"{key.created_at:%Y-%m-%d}"
            scopes = " ".join(key.scopes)
            typer.echo(f"{key.key_id}  {_state(key, now):<24}  {made}  {key.name}  [{scopes}]")


@app.command()
def revoke(
    ctx: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="16 hex digits, from the list.")],
) -> None:
    """Ends a key for good; services that run notice within LEARNER_API__KEY_SECONDS."""
    at = asyncio.run(_revoke(_postgres(ctx), key_id))
    if at is None:
        fail(f"there is no key {key_id!r}: learner keys list")
        return
    typer.echo(f"{key_id} is revoked since {at:%Y-%m-%d %H:%M:%S} UTC", err=True)


def _state(key: ServiceKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is None:
        return "good"
    return f"{'expired' if key.expires_at <= now else 'good until'} {key.expires_at:%Y-%m-%d}"


async def _create(
    settings: PostgresSettings, name: str, scopes: list[str], until: datetime | None
) -> str:
    from sinks.postgres_connection import connected  # noqa: PLC0415
    from sinks.postgres_schema import upgrade  # noqa: PLC0415
    from sinks.service_keys import create_key  # noqa: PLC0415

    async with connected(settings) as connection:
        await upgrade(connection)  # a key may well be the first thing that is written
        return await create_key(connection, name, scopes, until)


async def _list(settings: PostgresSettings) -> list[ServiceKey]:
    from sinks.postgres_connection import connected  # noqa: PLC0415
    from sinks.service_keys import all_keys  # noqa: PLC0415

    async with connected(settings) as connection:
        return await all_keys(connection)


async def _revoke(settings: PostgresSettings, key_id: str) -> datetime | None:
    from sinks.postgres_connection import connected  # noqa: PLC0415
    from sinks.service_keys import revoke_key  # noqa: PLC0415

    async with connected(settings) as connection:
        return await revoke_key(connection, key_id)


def _postgres(ctx: typer.Context) -> PostgresSettings:
    return settings_of(ctx, quiet_libraries=True).postgres
