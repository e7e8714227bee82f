"""`learner token`: a token for the chat, for trying things out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.failures import fail
from cli.options import settings_of
from schemas.http import ChatRole


def token(
    ctx: typer.Context,
    user_id: Annotated[str, typer.Argument(help="The learner's UUID, or the expert's.")],
    expert: Annotated[
        str | None, typer.Option(metavar="NAME", help="For an expert, who is shown by this name.")
    ] = None,
    seconds: Annotated[
        int, typer.Option(min=1, max=86_400, help="How long it is good for.")
    ] = 3600,
    course: Annotated[str | None, typer.Option(help="Good for this course only.")] = None,
) -> None:
    """Prints a token that lets a learner, or an expert, into the chat.

    It is signed with LEARNER_CHAT__TOKEN_SECRET, which the chat gateway must have too.
    """
    from chat.tokens import sign_token  # noqa: PLC0415

    settings = settings_of(ctx, quiet_libraries=True)
    secret = settings.chat.token_secret
    if secret is None:
        fail("set LEARNER_CHAT__TOKEN_SECRET first, e.g. to what `openssl rand -hex 32` prints")
        return
    role: ChatRole = "learner" if expert is None else "expert"
    try:
        made = sign_token(
            secret.get_secret_value(), user_id, role, datetime.now(UTC), seconds, expert, course
        )
    except ValueError:
        fail("a user_id is a UUID; a name has 1 to 100 printable characters, a course 1 to 255")
        return
    typer.echo(made)
