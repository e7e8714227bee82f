"""The way of one event: where it is found again, and its times as one line of moments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg
from clickhouse_driver import Client

from schemas.decision import Decision
from schemas.delivery import UNSENT, Delivery
from schemas.event import LearnerEvent, event_adapter
from schemas.topics import EVENTS
from sinks.clickhouse import reaching


class KeptEvent(NamedTuple):
    """An event as ClickHouse has it, and its place on ``learner.events``."""

    event: LearnerEvent
    partition: int
    offset: int


class Moment(NamedTuple):
    """``ms``: since the event happened, or since the first moment that is known."""

    at: datetime
    ms: float
    what: str
    detail: str


async def trace_of_event(connection: asyncpg.Connection, event_id: str) -> str | None:
    """The trace id that the decisions at an event have, if there are any."""
    found: str | None = await connection.fetchval(
        "SELECT substr(traceparent, 4, 32) FROM decisions WHERE event_id = $1 LIMIT 1", event_id
    )
    return found


def event_by_id(client: Client, event_id: str, user_id: str | None = None) -> KeptEvent | None:
    """Quick if the learner is known; otherwise one column of all events is read.

    Args:
        event_id, user_id: UUIDs.

    Raises:
        StoreUnavailable: ClickHouse does not answer, or has no such table.
    """
    mine = "" if user_id is None else "user_id = toUUID(%(user)s) AND "
    return _event(client, f"{mine}event_id = toUUID(%(event)s)", event=event_id, user=user_id)


def event_by_trace(client: Client, trace_id: str) -> KeptEvent | None:
    """The event that came with that trace id; all events are read for it.

    Args:
        trace_id: 32 hex digits, in lower case.

    Raises:
        StoreUnavailable: as above.
    """
    # The raw record stands there: more than the trace id has to match.
    return _event(client, "position(record, %(part)s) > 0", part=f"00-{trace_id}-")


def _event(client: Client, where: str, **named: object) -> KeptEvent | None:
    sql = f"""
        SELECT record, kafka_partition, kafka_offset FROM events WHERE {where}
        ORDER BY precedence DESC LIMIT 1
    """  # noqa: S608  # text of ours; what is asked for goes as parameters
    with reaching(client):
        found = client.execute(sql, named)
    if not found:
        return None
    record, partition, offset = found[0]
    return KeptEvent(event_adapter.validate_json(record), partition, offset)


def timeline(
    event: LearnerEvent | None,
    recorded_at: datetime | None,
    decisions: Sequence[Decision],
    deliveries: Sequence[Delivery],
) -> list[Moment]:
    """What happened when, the earliest first: happened → on Kafka → decided → delivered → answered.

    A decision's time is known from its first delivery: the record itself has that of the event.

    Args:
        recorded_at: the Kafka timestamp of the event's record.
    """
    told: list[tuple[datetime, int, str, str]] = []
    happened = event.occurred_at if event is not None else None
    if happened is None and (decisions or deliveries):
        happened = decisions[0].timestamp if decisions else deliveries[0].event_at
    if happened is not None:
        told.append((happened, 0, "happened", _what_happened(event, decisions, deliveries)))
    if recorded_at is not None:
        told.append((recorded_at, 1, "on Kafka", EVENTS))
    decided = {delivery.decision_id: _decided_at(delivery) for delivery in reversed(deliveries)}
    for decision in decisions:
        if decision.decision_id in decided:
            said = f"{decision.tree_id} {decision.decision_version}: {decision.decision_label}"
            told.append((decided[decision.decision_id], 2, "decided", said))
    for delivery in deliveries:
        reason = delivery.response_reason or ""
        if delivery.response_status == "superseded" and reason.startswith(UNSENT):
            said = f"{delivery.decision_tree_id}, {reason}"
            told.append((delivery.delivery_timestamp, 3, "superseded", said))
            continue
        which = f"{delivery.decision_tree_id}, attempt {delivery.attempt}"
        ended = ""
        if delivery.responded_at is None and delivery.response_status != "pending":
            ended = f": {_ANSWERS[delivery.response_status]}" + (f" {reason}" if reason else "")
        told.append((delivery.delivery_timestamp, 3, "delivered", which + ended))
        if delivery.responded_at is not None:
            took = (delivery.responded_at - delivery.delivery_timestamp) / timedelta(milliseconds=1)
            said = f"{which}, after {took:,.0f} ms"
            if delivery.response_reason:
                said += f": {delivery.response_reason}"
            told.append((delivery.responded_at, 4, _ANSWERS[delivery.response_status], said))
    told.sort(key=lambda moment: moment[:2])
    return [
        Moment(at.astimezone(UTC), (at - told[0][0]) / timedelta(milliseconds=1), what, detail)
        for at, _, what, detail in told
    ]


_ANSWERS = {
    "pending": "pending",
    "success": "acknowledged",
    "fail": "refused",
    "timeout": "timed out",
    "superseded": "superseded",
}


def _decided_at(delivery: Delivery) -> datetime:
    return delivery.delivery_timestamp - timedelta(milliseconds=delivery.decision_latency_ms)


def _what_happened(
    event: LearnerEvent | None, decisions: Sequence[Decision], deliveries: Sequence[Delivery]
) -> str:
    if event is not None:
        return event.type
    return decisions[0].event_type if decisions else deliveries[0].event_type
