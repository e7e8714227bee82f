"""`learner query conversations` and `transcript`: what learners and their tutor said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from cli.answers import Json, nothing_more
from cli.options import settings_of, utc
from cli.terminal_text import one_line
from config.settings import Settings


def conversations(
    ctx: typer.Context,
    text: Annotated[str | None, typer.Argument(help="Words that must all occur.")] = None,
    user: Annotated[str | None, typer.Option(help="Of one learner (user_id).")] = None,
    course: Annotated[str | None, typer.Option(help="In one course.")] = None,
    topic: Annotated[str | None, typer.Option(help="About one topic.")] = None,
    session: Annotated[str | None, typer.Option(help="In one session.")] = None,
    flag: Annotated[str | None, typer.Option(help="With a feedback flag, e.g. confusing.")] = None,
    label: Annotated[
        str | None, typer.Option(help="While this label or strategy was in force.")
    ] = None,
    direction: Annotated[str | None, typer.Option(help="user or system.")] = None,
    since: Annotated[datetime | None, typer.Option(help="UTC, included.")] = None,
    until: Annotated[datetime | None, typer.Option(help="UTC, not included.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Messages at most.")] = 20,
    as_json: Json = False,
) -> None:
    """Searches what learners and their tutor said, with the decision in force then
    (Elasticsearch)."""
    from queries.elasticsearch_conversations import Wanted  # noqa: PLC0415

    wanted = Wanted(user, course, topic, session, flag, label, direction, utc(since), utc(until))
    found = asyncio.run(_conversations(settings_of(ctx, quiet_libraries=True), text, wanted, limit))
    if nothing_more(found, as_json):
        return
    for message in found:
        who = message.responder or "learner"
        typer.echo(
            f"{message.timestamp:%Y-%m-%d %H:%M}  {message.user_id}  {message.session_id}  "
            f"{message.course_id or 'no course'}  [{message.label}; {message.strategy}]\n"
            f"    {who}: {one_line(message.text)}"
        )


def transcript(
    ctx: typer.Context,
    user_id: Annotated[str, typer.Argument(metavar="USER_ID")],
    session_id: Annotated[str, typer.Argument(metavar="SESSION_ID")],
    as_json: Json = False,
) -> None:
    """A whole conversation, message by message (MongoDB)."""
    found = asyncio.run(_transcript(settings_of(ctx, quiet_libraries=True), user_id, session_id))
    if nothing_more(found, as_json):
        return
    for message in found:
        who = message["responder"] or "learner"
        typer.echo(f"{message['timestamp']:%H:%M:%S}  {who}: {one_line(message['message_text'])}")


async def _conversations(
    settings: Settings, text: str | None, wanted: Any, limit: int
) -> Sequence[Any]:
    from queries.elasticsearch_conversations import conversations  # noqa: PLC0415
    from sinks.elasticsearch_client import connect  # noqa: PLC0415

    client = connect(settings.elasticsearch)
    try:
        return await conversations(
            client, settings.elasticsearch.conversations, text, wanted, limit
        )
    finally:
        await client.close()


async def _transcript(settings: Settings, user_id: str, session_id: str) -> list[dict[str, Any]]:
    from queries.mongodb import transcript  # noqa: PLC0415
    from sinks.mongodb import connect  # noqa: PLC0415

    database = connect(settings.mongodb)
    try:
        return await transcript(database, user_id, session_id)
    finally:
        await database.client.close()
