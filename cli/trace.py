"""`learner trace`: the way of one event, from the learner to who acknowledged what came of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli.failures import FAILED, fail
from cli.json_lines import write_json
from cli.options import Kafka, settings_of
from config.settings import Settings
from schemas.errors import LearnerError
from schemas.event import LearnerEvent

if TYPE_CHECKING:
    from queries.answers import TraceAnswer
    from queries.trace import Moment

_TRACE_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_EVENT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_BEFORE_IT_WAS_DECIDED = timedelta(hours=1)
"""A decision follows its event at once; but a worker may have been down, and clocks differ."""


@dataclass
class _Way:
    """What is known; ``missing`` says what is not, and why."""

    trace_id: str
    event_id: str | None
    answer: TraceAnswer | None = None
    event: LearnerEvent | None = None
    place: tuple[int, int] | None = None
    recorded_at: datetime | None = None
    missing: list[str] = field(default_factory=list)


def trace(
    ctx: typer.Context,
    given: Annotated[
        str, typer.Argument(metavar="TRACE_ID|EVENT_ID", help="32 hex digits, or a UUID.")
    ],
    kafka: Kafka = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Shows one event's way: happened, on Kafka, decided, delivered, acknowledged; in ms.

    Decisions and deliveries are PostgreSQL's; the event is ClickHouse's, or Kafka's if that does
    not have it. An event without a traceparent has its own id without hyphens as trace id.
    """
    known = given.lower()
    is_event = _EVENT_ID.fullmatch(known) is not None
    if not (is_event or _TRACE_ID.fullmatch(known)):
        fail("a trace id is 32 hex digits; an event id is a UUID, in its form with hyphens")
    settings = settings_of(ctx, quiet_libraries=True, kafka__bootstrap_servers=kafka)
    way = _Way(known.replace("-", ""), known if is_event else None)
    asyncio.run(_follow(settings, way))
    if as_json:
        _write(way)
    else:
        _show(way)
    if way.event is None and not (way.answer and (way.answer.decisions or way.answer.deliveries)):
        raise typer.Exit(FAILED)


async def _follow(settings: Settings, way: _Way) -> None:
    """Each store is asked, whether the others answer or not."""
    await _ask_postgres(settings, way)
    _ask_clickhouse(settings, way)
    await _ask_kafka(settings, way)
    if way.event is not None and way.answer is not None and way.answer.trace_id != way.trace_id:
        await _ask_postgres(settings, way)  # it told a trace id that could not be guessed
    if way.answer is not None and not way.answer.decisions:
        way.missing.append(
            "no decision in PostgreSQL: none was made at this event (not every event is a decision "
            "point), or its sink is behind"
        )
    elif way.answer is not None and not way.answer.deliveries:
        way.missing.append(
            "no delivery in PostgreSQL: no `learner facilitator` has sent it, or the sink is behind"
        )


async def _ask_postgres(settings: Settings, way: _Way) -> None:
    from queries.postgres import trace as trace_of  # noqa: PLC0415
    from queries.trace import trace_of_event  # noqa: PLC0415
    from sinks.postgres_connection import connected  # noqa: PLC0415

    try:
        async with connected(settings.postgres) as connection:
            if way.event_id is not None and way.event is None:
                way.trace_id = await trace_of_event(connection, way.event_id) or way.trace_id
            way.answer = await trace_of(connection, way.trace_id)
    except LearnerError as error:
        way.missing.append(f"no decisions and deliveries: {error}")


def _ask_clickhouse(settings: Settings, way: _Way) -> None:
    from queries.trace import event_by_id, event_by_trace  # noqa: PLC0415
    from sinks.clickhouse import connect  # noqa: PLC0415

    event_id, user_id = _known_ids(way)
    try:
        with connect(settings.clickhouse) as client:
            found = event_by_id(client, event_id or _as_uuid(way.trace_id), user_id)
            if found is None and event_id is None:
                found = event_by_trace(client, way.trace_id)
    except LearnerError as error:
        way.missing.append(f"the event was not looked for in ClickHouse: {error}")
        return
    if found is None:
        way.missing.append("no such event in ClickHouse: its sink is behind, or it is too old")
    else:
        _keep_event(way, found.event, (found.partition, found.offset))


async def _ask_kafka(settings: Settings, way: _Way) -> None:
    from cli.event_on_kafka import event_at, find_event  # noqa: PLC0415

    try:
        if way.place is not None:
            found = await event_at(settings.kafka, *way.place)
            if found is None or found.event.event_id != way.event_id:
                way.missing.append("when it came to Kafka: its record is there no longer")
                return
        else:
            found = await find_event(settings.kafka, _since(way), _may_be(way), _is_it(way))
            if found is None:
                way.missing.append("no such event in Kafka, among those it still keeps")
    except LearnerError as error:
        what = "when it came to Kafka" if way.event else "the event was not looked for in Kafka"
        way.missing.append(f"{what}: {error}")
        return
    if found is not None:
        way.recorded_at = found.recorded_at
        _keep_event(way, found.event, (found.partition, found.offset))


def _keep_event(way: _Way, event: LearnerEvent, place: tuple[int, int]) -> None:
    from streams.trace import trace_id_of, traceparent_of  # noqa: PLC0415

    way.event, way.place, way.event_id = event, place, event.event_id
    way.trace_id = trace_id_of(traceparent_of(event))


def _known_ids(way: _Way) -> tuple[str | None, str | None]:
    """Of the event and of its learner."""
    if way.answer is not None and way.answer.decisions:
        return way.answer.decisions[0].event_id, way.answer.decisions[0].user_id
    if way.answer is not None and way.answer.deliveries:
        return way.answer.deliveries[0].event_id, way.answer.deliveries[0].user_id
    return way.event_id, None


def _since(way: _Way) -> datetime | None:
    if way.answer is None or not way.answer.deliveries:
        return None
    first = way.answer.deliveries[0]
    took = timedelta(milliseconds=first.decision_latency_ms)
    return first.delivery_timestamp - took - _BEFORE_IT_WAS_DECIDED


def _may_be(way: _Way) -> Callable[[bytes], bool]:
    event_id, _ = _known_ids(way)
    parts = [(event_id or _as_uuid(way.trace_id)).encode()]
    if event_id is None:
        parts.append(way.trace_id.encode())
    return lambda value: any(part in value for part in parts)


def _is_it(way: _Way) -> Callable[[LearnerEvent], bool]:
    from streams.trace import trace_id_of, traceparent_of  # noqa: PLC0415

    event_id, _ = _known_ids(way)
    if event_id is not None:
        return lambda event: event.event_id == event_id
    return lambda event: trace_id_of(traceparent_of(event)) == way.trace_id


def _as_uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _show(way: _Way) -> None:
    typer.echo(f"trace {way.trace_id}")
    event = way.event
    if event is not None:
        course = getattr(event, "course_id", None)
        where = f", course {course}" if course else ""
        typer.echo(f"event {event.event_id} of learner {event.user_id}{where}, from {event.source}")
    for moment in _moments(way):
        at = f"{moment.at:%Y-%m-%d %H:%M:%S.%f}"[:-3]
        typer.echo(f"{moment.ms:>+14,.0f} ms  {at}  {moment.what:<12}  {moment.detail}")
    for said in way.missing:
        typer.echo(f"missing: {said}", err=True)


def _write(way: _Way) -> None:
    answer = way.answer
    write_json(
        {
            "trace_id": way.trace_id,
            "event": way.event,
            "partition": way.place[0] if way.place else None,
            "offset": way.place[1] if way.place else None,
            "recorded_at": way.recorded_at,
            "decisions": answer.decisions if answer else [],
            "deliveries": answer.deliveries if answer else [],
            "timeline": [moment._asdict() for moment in _moments(way)],
            "missing": way.missing,
        }
    )


def _moments(way: _Way) -> list[Moment]:
    from queries.trace import timeline  # noqa: PLC0415

    answer = way.answer
    return timeline(
        way.event,
        way.recorded_at,
        answer.decisions if answer else [],
        answer.deliveries if answer else [],
    )
