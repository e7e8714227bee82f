"""`learner query`: what people ask, answered by the store that is made for it, or by one file."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.answers import CourseOption, File, Json, User, nothing_more, show
from cli.failures import fail
from cli.options import settings_of, utc
from config.settings import Settings
from schemas.fields import TreeId

app = typer.Typer(
    no_args_is_help=True,
    help="What people ask of the stores; with --file most of it from a DuckDB file.",
)

Since = Annotated[datetime | None, typer.Option(help="UTC, included.")]
Until = Annotated[datetime | None, typer.Option(help="UTC, not included.")]
_DAY = ["%Y-%m-%d"]
FirstDay = Annotated[
    datetime | None, typer.Option("--since", formats=_DAY, help="UTC day, included.")
]
EndDay = Annotated[
    datetime | None, typer.Option("--until", formats=_DAY, help="UTC day, not included.")
]
OneTree = Annotated[TreeId | None, typer.Option("--tree", help="Of one tree only.")]

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(2100, 1, 1, tzinfo=UTC)


@app.command()
def activity(
    ctx: typer.Context,
    user_id: User,
    since: FirstDay = None,
    until: EndDay = None,
    file: File = None,
    as_json: Json = False,
) -> None:
    """How often a learner works across courses, day by day (ClickHouse)."""
    first = (since or _BEGINNING).date()
    last = (until or _END).date()
    if file is not None:
        from queries import duckdb  # noqa: PLC0415

        days = duckdb.activity_across_courses(file, user_id)
        show([day for day in days if first <= day.day < last], as_json)
        return
    from queries import clickhouse  # noqa: PLC0415
    from sinks.clickhouse import connect  # noqa: PLC0415

    with connect(_settings(ctx).clickhouse) as client:
        show(clickhouse.activity_across_courses(client, user_id, first, last), as_json)


@app.command()
def skills(ctx: typer.Context, user_id: User, file: File = None, as_json: Json = False) -> None:
    """Whether a learner's skills improve, week by week over all courses (ClickHouse)."""
    if file is not None:
        from queries import duckdb  # noqa: PLC0415

        show(duckdb.skill_progress(file, user_id), as_json)
        return
    from queries import clickhouse  # noqa: PLC0415
    from sinks.clickhouse import connect  # noqa: PLC0415

    with connect(_settings(ctx).clickhouse) as client:
        show(clickhouse.skill_progress(client, user_id), as_json)


@app.command()
def watched(
    ctx: typer.Context,
    content_id: Annotated[str, typer.Argument(metavar="CONTENT_ID")],
    then: Annotated[str, typer.Option(help="Type of event, e.g. quiz.submitted.")],
    course: CourseOption = None,
    file: File = None,
    as_json: Json = False,
) -> None:
    """Users who watched (viewed) a content and then did something (Elasticsearch)."""
    if file is not None:
        from queries import duckdb  # noqa: PLC0415

        show(duckdb.watched_then(file, content_id, then, course), as_json)
        return
    show(_asked(_watched_then(_settings(ctx), content_id, then, course)), as_json)


@app.command("falling-confidence")
def falling_confidence(
    ctx: typer.Context, course: CourseOption = None, file: File = None, as_json: Json = False
) -> None:
    """Learners whose confidence falls while their scores hold (MongoDB)."""
    if file is not None:
        from queries import duckdb  # noqa: PLC0415

        show(duckdb.falling_confidence(file, course), as_json)
        return
    show(_asked(_falling_confidence(_settings(ctx), course)), as_json)


@app.command()
def labels(
    ctx: typer.Context,
    since: Since = None,
    until: Until = None,
    tree: OneTree = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Draw it into this file (.svg, .png), one panel for each tree."),
    ] = None,
    file: File = None,
    as_json: Json = False,
) -> None:
    """How often each label was given, day by day (PostgreSQL)."""
    begin, end = utc(since) or _BEGINNING, utc(until) or _END
    if file is not None:
        from queries import duckdb  # noqa: PLC0415

        found = duckdb.labels_given(file, begin, end, tree)
    else:
        found = _asked(_labels_given(_settings(ctx), begin, end, tree))
    if picture is None:
        show(found, as_json)
        return
    from cli.label_picture import draw  # noqa: PLC0415

    draw(found, picture)
    typer.echo(f"{picture} drawn", err=True)


@app.command()
def thresholds(
    ctx: typer.Context,
    decision: Annotated[
        str | None, typer.Option(help="In force at this decision (its decision_id).")
    ] = None,
    tree: OneTree = None,
    at: Annotated[datetime | None, typer.Option(help="UTC; now when not given.")] = None,
    file: File = None,
    as_json: Json = False,
) -> None:
    """Which thresholds were in force: at a decision, or of a tree at a time (PostgreSQL)."""
    if (decision is None) == (tree is None):
        fail("name a --decision, or a --tree (and --at)")
    when = utc(at) or datetime.now(UTC)
    if file is not None:
        from queries import duckdb  # noqa: PLC0415

        found = (
            duckdb.thresholds_at_decision(file, decision)
            if tree is None and decision is not None
            else duckdb.thresholds_in_force(file, tree or "primary_classification", when)
        )
    else:
        found = _asked(_thresholds(_settings(ctx), decision, tree, when))
    if as_json or not found:
        show(found, as_json)
        return
    first = found[0]
    typer.echo(
        f"{first.tree_id} version {first.version}, by {first.author} at "
        f"{first.created_at:%Y-%m-%d %H:%M}: {first.reason}"
    )
    for rule in found:
        typer.echo(f"  {rule.feature} <= {rule.threshold:g}   [{rule.rule_id}]")


@app.command()
def decisions(
    ctx: typer.Context,
    user_id: User,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The latest so many.")] = 20,
    file: File = None,
    as_json: Json = False,
) -> None:
    """A learner's decisions with their reasons (PostgreSQL)."""
    if file is not None:
        from queries import duckdb  # noqa: PLC0415

        found = list(duckdb.decisions_of(file, user_id))[-limit:]
    else:
        found = _asked(_decisions_of(_settings(ctx), user_id, limit))
    if nothing_more(found, as_json):
        return
    for decision in found:
        path = decision.thresholds_at_time.path
        because = (f"{c.feature} {c.value:g} {c.operator} {c.threshold:g}" for c in path)
        typer.echo(
            f"{decision.timestamp:%Y-%m-%d %H:%M:%S}  {decision.decision_label}  "
            f"({decision.tree_id} {decision.decision_version}, "
            f"{decision.course_id or 'no course'})\n    because {', '.join(because)}"
        )


@app.command()
def deliveries(
    ctx: typer.Context,
    user_id: User,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The latest so many.")] = 20,
    file: File = None,
    as_json: Json = False,
) -> None:
    """How a learner's decisions were delivered, attempt by attempt (PostgreSQL)."""
    if file is not None:
        from queries import duckdb  # noqa: PLC0415

        found = list(duckdb.deliveries_of(file, user_id))[-limit:]
    else:
        found = _asked(_deliveries_of(_settings(ctx), user_id, limit))
    if nothing_more(found, as_json):
        return
    for delivery in found:
        reason = f": {delivery.response_reason}" if delivery.response_reason else ""
        typer.echo(
            f"{delivery.delivery_timestamp:%Y-%m-%d %H:%M:%S}  {delivery.strategy_label}  "
            f"{delivery.response_status}{reason}\n"
            f"    attempt {delivery.attempt}, {delivery.latency_ms:.0f} ms after "
            f"{delivery.event_type} ({delivery.event_source}); "
            f"{delivery.decision_tree_id} {delivery.decision_version}, "
            f"{delivery.course_id or 'no course'}; trace {delivery.trace_id}"
        )


@app.command()
def sessions(
    ctx: typer.Context,
    user_id: User,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The latest so many.")] = 20,
    file: File = None,
    as_json: Json = False,
) -> None:
    """A learner's chat sessions: how long, about what, and what came of them (PostgreSQL)."""
    if file is not None:
        from queries import duckdb  # noqa: PLC0415

        found = duckdb.sessions_of(file, user_id, datetime.now(UTC))[-limit:]
    else:
        found = _asked(_sessions_of(_settings(ctx), user_id, limit))
    if as_json or not found:
        show(found, as_json)
        return
    for session in found:
        labels = [session.first_label, session.last_label][: 2 if session.label_changes else 1]
        typer.echo(
            f"{session.started_at:%Y-%m-%d %H:%M}  {session.session_id}  {session.state}, "
            f"{session.outcome} ({session.course_id or 'no course'})\n"
            f"    {session.duration_seconds / 60:.0f} min: {session.turns} by the learner, "
            f"{session.answers} answers, {session.hints} hints; "
            f"about {', '.join(session.topics) or 'no topic'}; "
            f"{' → '.join(filter(None, labels)) or 'no label'}"
        )


async def _falling_confidence(settings: Settings, course: str | None) -> Sequence[Any]:
    from queries.mongodb import falling_confidence  # noqa: PLC0415
    from sinks.mongodb import connect  # noqa: PLC0415

    database = connect(settings.mongodb)
    try:
        return await falling_confidence(database, course)
    finally:
        await database.client.close()


async def _watched_then(
    settings: Settings, content_id: str, then: str, course: str | None
) -> Sequence[Any]:
    from queries.elasticsearch import Then, watched_then  # noqa: PLC0415
    from sinks.elasticsearch_client import connect  # noqa: PLC0415

    client = connect(settings.elasticsearch)
    try:
        index = settings.elasticsearch.index
        return await watched_then(client, index, content_id, Then(then), course)
    finally:
        await client.close()


async def _labels_given(
    settings: Settings, since: datetime, until: datetime, tree: TreeId | None
) -> Sequence[Any]:
    from queries.postgres import labels_given  # noqa: PLC0415
    from sinks.postgres_connection import connected  # noqa: PLC0415

    async with connected(settings.postgres) as connection:
        return await labels_given(connection, since, until, tree)


async def _thresholds(
    settings: Settings, decision: str | None, tree: TreeId | None, at: datetime
) -> Sequence[Any]:
    from queries.postgres import thresholds_at_decision, thresholds_in_force  # noqa: PLC0415
    from sinks.postgres_connection import connected  # noqa: PLC0415

    async with connected(settings.postgres) as connection:
        if tree is not None:
            return await thresholds_in_force(connection, tree, at)
        return await thresholds_at_decision(connection, decision or "")


async def _decisions_of(settings: Settings, user_id: str, limit: int) -> list[Any]:
    from queries.postgres import decisions_of  # noqa: PLC0415
    from sinks.postgres_connection import connected  # noqa: PLC0415

    async with connected(settings.postgres) as connection:
        return await decisions_of(connection, user_id, limit)


async def _deliveries_of(settings: Settings, user_id: str, limit: int) -> list[Any]:
    from queries.postgres import deliveries_of  # noqa: PLC0415
    from sinks.postgres_connection import connected  # noqa: PLC0415

    async with connected(settings.postgres) as connection:
        return await deliveries_of(connection, user_id, limit)


async def _sessions_of(settings: Settings, user_id: str, limit: int) -> list[Any]:
    from queries.postgres import sessions_of  # noqa: PLC0415
    from sinks.postgres_connection import connected  # noqa: PLC0415

    async with connected(settings.postgres) as connection:
        return await sessions_of(connection, user_id, limit)


def _settings(ctx: typer.Context) -> Settings:
    return settings_of(ctx, quiet_libraries=True)


def _asked(question: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(question)
