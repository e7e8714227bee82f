"""The records of a delivery: what is read for it, and what is made of it on its way."""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from schemas.contract import encode
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.decision import EventSource
from schemas.delivery import Delivery, DeliveryAck, ack_adapter
from schemas.errors import RejectedEvent
from schemas.event import StrategyDelivered
from schemas.fields import (
    Count,
    Identifier,
    ResponseStatus,
    Traceparent,
    TreeId,
    UserId,
    UtcTime,
    Uuid,
)
from schemas.topics import DECISIONS
from streams.decode import Record, rejection
from streams.derived_id import derived_id
from streams.trace import trace_id_of


@with_config(ConfigDict(extra="ignore", allow_inf_nan=False))
@dataclass
class DeliverableDecision:
    """What of a `schemas.decision.Decision` is delivered.

    The rest is passed over, so that decisions of a newer worker, with more to them, are delivered
    too.
    """

    decision_id: Uuid
    user_id: UserId
    course_id: Literal[""] | Identifier
    timestamp: UtcTime
    tree_id: TreeId
    decision_label: Identifier
    previous_label: str
    llm_prompt_output: str
    decision_version: Count
    event_id: Uuid
    event_type: str
    event_source: EventSource
    traceparent: Traceparent
    prompt_version: str


_decision_adapter = TypeAdapter(DeliverableDecision)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def decode_ack(record: Record) -> DeliveryAck:
    """Raises: RejectedEvent, with the first fault."""
    try:
        ack = ack_adapter.validate_json(record.value)
    except ValidationError as error:
        raise rejection(record.value, error) from None
    _check_key(record, ack.user_id)
    # The service's words go to every store and to terminals; not every store takes a NUL.
    ack.reason = _CONTROLS.sub(" ", ack.reason)
    return ack


def decode_decision(record: Record) -> DeliverableDecision:
    """Raises: RejectedEvent, with the first fault."""
    try:
        decision = _decision_adapter.validate_json(record.value)
    except ValidationError as error:
        raise rejection(record.value, error) from None
    _check_key(record, decision.user_id)
    return decision


def _check_key(record: Record, user_id: str) -> None:
    if (record.key or b"").decode("latin-1").lower() != user_id:
        raise RejectedEvent(
            DeadLetterReason.KEY_MISMATCH, f"the record's key must be its user_id {user_id}"
        )


def first_attempt(decision: DeliverableDecision, recorded_at: datetime, now: datetime) -> Delivery:
    """A decision as it is sent; ``recorded_at``: its Kafka time."""
    return Delivery(
        delivery_id=derived_id(decision.decision_id, "delivery"),
        attempt=1,
        decision_id=decision.decision_id,
        user_id=decision.user_id,
        course_id=decision.course_id,
        decision_tree_id=decision.tree_id,
        decision_version=decision.decision_version,
        strategy_label=decision.decision_label,
        previous_label=decision.previous_label,
        llm_prompt_summary=decision.llm_prompt_output,
        prompt_version=decision.prompt_version,
        delivery_timestamp=now,
        response_status="pending",
        response_reason="",
        responded_at=None,
        latency_ms=_milliseconds(decision.timestamp, now),
        decision_latency_ms=_milliseconds(recorded_at, now),
        cache_hit=False,
        trace_id=trace_id_of(decision.traceparent),
        traceparent=decision.traceparent,
        event_id=decision.event_id,
        event_type=decision.event_type,
        event_source=decision.event_source,
        event_at=decision.timestamp,
    )


def next_attempt(sent: Delivery, now: datetime) -> Delivery:
    """The same delivery, sent again."""
    again = copy(sent)
    again.attempt += 1
    again.delivery_timestamp = now
    again.latency_ms = _milliseconds(sent.event_at, now)
    since = _milliseconds(sent.delivery_timestamp, now)
    again.decision_latency_ms = round(sent.decision_latency_ms + since, 3)
    return again


def with_status(
    sent: Delivery, status: ResponseStatus, reason: str, at: datetime | None = None
) -> Delivery:
    """What became of it; ``at``: when the service said so."""
    told = copy(sent)
    told.response_status = status
    told.response_reason = reason
    told.responded_at = at
    return told


def tells_the_learner_agent(sent: Delivery) -> bool:
    """Whether its success is an event: a strategy, in a course."""
    return sent.decision_tree_id == "intervention_strategy" and sent.course_id != ""


def strategy_delivered(sent: Delivery, at: datetime) -> StrategyDelivered:
    """The event for ``learner.events``; its id is derived from the delivery."""
    return StrategyDelivered(
        type="strategy.delivered",
        event_id=derived_id(sent.delivery_id, "strategy.delivered"),
        user_id=sent.user_id,
        course_id=sent.course_id,
        occurred_at=at,
        source="facilitator",
        traceparent=sent.traceparent,
        decision_id=sent.decision_id,
        strategy_label=sent.strategy_label,
    )


def never_acknowledged(timed_out: Delivery, partition: int, decision_offset: int) -> DeadLetter:
    """Its last attempt, whole; the place is that of its decision, which can be read there."""
    return DeadLetter.model_construct(
        dead_letter_id=derived_id(timed_out.delivery_id, "not_acknowledged"),
        reason=DeadLetterReason.NOT_ACKNOWLEDGED,
        detail=f"sent {timed_out.attempt} times, last at "
        f"{timed_out.delivery_timestamp.isoformat()}, and never answered. This is the delivery; "
        "topic, partition and offset are those of its decision",
        topic=DECISIONS,
        partition=partition,
        offset=decision_offset,
        recorded_at=None,
        key=timed_out.user_id.encode(),
        raw=encode(timed_out),
    )


def _milliseconds(since: datetime, until: datetime) -> float:
    """Never negative: the two may be of different clocks."""
    return max(0.0, round((until - since) / timedelta(milliseconds=1), 3))
