"""`learner query journey`, `learner` and `interactions`: one learner, and what they did."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from cli.answers import CourseOption, File, Json, User, nothing_more, show
from cli.failures import fail
from cli.json_lines import write_json
from cli.options import settings_of
from cli.state_outline import in_a_line, outline
from config.settings import Settings

_SAID_FIRST = ("event_id", "user_id", "occurred_at", "type")
"""Of an event: what a line begins with, and what all lines have alike."""


def journey(
    ctx: typer.Context,
    user_id: User,
    course_id: Annotated[str, typer.Argument(metavar="COURSE_ID")],
    steps: Annotated[
        bool, typer.Option("--steps", help="Event by event, from ClickHouse.")
    ] = False,
    file: File = None,
    as_json: Json = False,
) -> None:
    """A learner's journey through a course: where they stand (MongoDB), or every step."""
    settings = settings_of(ctx, quiet_libraries=True)
    if steps:
        if file is not None:
            from queries import duckdb  # noqa: PLC0415

            show(duckdb.course_steps(file, user_id, course_id), as_json)
            return
        from queries import clickhouse  # noqa: PLC0415
        from sinks.clickhouse import connect  # noqa: PLC0415

        with connect(settings.clickhouse) as client:
            show(clickhouse.course_steps(client, user_id, course_id), as_json)
        return
    if file is not None:
        from queries import duckdb  # noqa: PLC0415

        found = duckdb.course_journey(file, user_id, course_id)
    else:
        found = asyncio.run(_course_journey(settings, user_id, course_id))
    if found is None:
        fail(f"nothing is known of {user_id} in {course_id!r}")
        return
    _tell_state(found, as_json)


def learner(ctx: typer.Context, user_id: User, file: File = None, as_json: Json = False) -> None:
    """What is known of a learner: across courses, then in each (MongoDB)."""
    if file is not None:
        from queries import duckdb  # noqa: PLC0415

        across = duckdb.learner_across_courses(file, user_id)
        journeys = duckdb.journeys_of(file, user_id)
    else:
        across, journeys = asyncio.run(
            _all_of_learner(settings_of(ctx, quiet_libraries=True), user_id)
        )
    if across is None:
        fail(f"nothing is known of {user_id}")
        return
    _tell_state(across, as_json)
    for one in journeys:
        if not as_json:
            typer.echo()
        _tell_state(one, as_json)


def interactions(
    ctx: typer.Context,
    user_id: User,
    course: CourseOption = None,
    event_type: Annotated[
        str | None, typer.Option("--type", help="Of one type only, e.g. quiz.submitted.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Words that a feedback has.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The latest so many.")] = 20,
    as_json: Json = False,
) -> None:
    """What a learner did, newest first (Elasticsearch)."""
    found = asyncio.run(
        _interactions_of(
            settings_of(ctx, quiet_libraries=True), user_id, course, event_type, text, limit
        )
    )
    if nothing_more(found, as_json):
        return
    for event in found:
        said = {name: value for name, value in event.items() if name not in _SAID_FIRST}
        typer.echo(f"{event['occurred_at']}  {event['type']}  {in_a_line(said)}")


async def _course_journey(
    settings: Settings, user_id: str, course_id: str
) -> dict[str, Any] | None:
    from queries.mongodb import course_journey  # noqa: PLC0415
    from sinks.mongodb import connect  # noqa: PLC0415

    database = connect(settings.mongodb)
    try:
        return await course_journey(database, user_id, course_id)
    finally:
        await database.client.close()


async def _all_of_learner(
    settings: Settings, user_id: str
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    from queries.mongodb import journeys_of, learner_across_courses  # noqa: PLC0415
    from sinks.mongodb import connect  # noqa: PLC0415

    database = connect(settings.mongodb)
    try:
        across = await learner_across_courses(database, user_id)
        return across, await journeys_of(database, user_id)
    finally:
        await database.client.close()


async def _interactions_of(
    settings: Settings,
    user_id: str,
    course: str | None,
    event_type: str | None,
    text: str | None,
    limit: int,
) -> list[dict[str, Any]]:
    from queries.elasticsearch import interactions_of  # noqa: PLC0415
    from sinks.elasticsearch_client import connect  # noqa: PLC0415

    client = connect(settings.elasticsearch)
    try:
        return await interactions_of(
            client,
            settings.elasticsearch.index,
            user_id,
            course_id=course,
            type=event_type,
            text=text,
            limit=limit,
        )
    finally:
        await client.close()


def _tell_state(state: dict[str, Any], as_json: bool) -> None:
    """One JSON line, or lines for a person."""
    if as_json:
        write_json(state)
        return
    for line in outline(state):
        typer.echo(line)
