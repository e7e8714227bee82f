"""`learner chat`: talk with the tutor from a terminal, or from a pipe."""

from __future__ import annotations

import asyncio
import sys
import threading
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.failures import fail
from cli.options import settings_of

_TOKEN_SECONDS = 3600


def chat(
    ctx: typer.Context,
    user_id: Annotated[str, typer.Argument(help="The learner's UUID.")],
    url: Annotated[
        str | None,
        typer.Option(help="A gateway, http(s)://…; when not given, that of LEARNER_CHAT__HOST."),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="CHAT_TOKEN",
            help="The learner's token; made from LEARNER_CHAT__TOKEN_SECRET when not given.",
        ),
    ] = None,
    session: Annotated[str, typer.Option(help="A session to go on with.")] = "",
    wait: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds to wait for answers at the end.")
    ] = 60.0,
) -> None:
    """Says each line of the input, and shows what the tutor answers, as it is written.

    Ctrl-D, or the input's end, ends the session once everything is answered. A connection that is
    lost is made again; nothing is said twice. Not from a terminal, whole answers are printed only.
    """
    from chat.terminal import TerminalChat  # noqa: PLC0415
    from chat.tokens import claimed_user  # noqa: PLC0415

    settings = settings_of(ctx, quiet_libraries=True)
    gateway = url or f"http://{settings.chat.host}:{settings.chat.port}"
    if token is None:
        secret = settings.chat.token_secret
        if secret is None:
            fail("give a --token, or set LEARNER_CHAT__TOKEN_SECRET as the gateway has it")
            return
        token = _token(secret.get_secret_value(), user_id)
    elif (holder := claimed_user(token)) != user_id.lower():
        fail(f"the token (--token, CHAT_TOKEN) is for {holder}, not for {user_id}")
    talks = sys.stdin.isatty() and sys.stdout.isatty()

    async def talk() -> None:
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        _read_lines(asyncio.get_running_loop(), lines)
        chat = TerminalChat(gateway, token, session, _show, _show_piece if talks else None)
        await chat.run(lines, wait)
        typer.echo(f"session {chat.session}", err=True)

    asyncio.run(talk())


def _token(secret: str, user_id: str) -> str:
    from chat.tokens import sign_token  # noqa: PLC0415

    try:
        return sign_token(secret, user_id, "learner", datetime.now(UTC), _TOKEN_SECONDS)
    except ValueError:
        fail("a user_id is a UUID")
        raise


def _read_lines(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[str | None]) -> None:
    """By a thread: a terminal cannot be read otherwise without blocking. It ends with us."""

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line.rstrip("\n"))
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, name="stdin", daemon=True).start()


def _show(who: str, text: str) -> None:
    """Who speaks nobody speaks for: what the gateway or we say goes to stderr."""
    typer.echo(f"{who}: {text}" if who else f"({text})", err=not who)


def _show_piece(who: str, text: str) -> None:
    typer.echo(f"{who}: {text}" if who else text, nl=False)
