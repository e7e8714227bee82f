"""A decision on its way to the query-strategy service, and the service's answer (section 6)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from schemas.contract import Contract
from schemas.decision import EventSource
from schemas.fields import (
    Count,
    Identifier,
    ResponseStatus,
    TraceId,
    Traceparent,
    TreeId,
    UserId,
    UtcTime,
    Uuid,
)

Milliseconds = Annotated[float, Field(ge=0)]
Reason = Annotated[str, StringConstraints(max_length=500)]


class Delivery(Contract):
    """One attempt to deliver a decision: on ``facilitator.decisions`` when it is sent, and on
    ``facilitator.log`` each time its ``response_status`` changes.

    ``delivery_id`` is derived from the decision, so it is the same in every ``attempt`` (from 1):
    whoever has taken one drops the others and acknowledges them.
    ``latency_ms``: from ``event_at``, when the learner did it, to ``delivery_timestamp``;
    ``decision_latency_ms``: from when the decision was on Kafka to ``delivery_timestamp``.
    ``cache_hit``: whether it was answered from Redis; false for what goes over Kafka.
    ``trace_id`` is that of ``traceparent``, which came with the event.
    ``response_reason``: the service's words, or which decision superseded this one.
    """

    delivery_id: Uuid
    attempt: Annotated[Count, Field(ge=1)]
    decision_id: Uuid
    user_id: UserId
    course_id: str
    decision_tree_id: TreeId
    decision_version: Count
    strategy_label: str
    previous_label: str
    llm_prompt_summary: str
    prompt_version: str
    delivery_timestamp: UtcTime
    response_status: ResponseStatus
    response_reason: Reason
    responded_at: UtcTime | None
    latency_ms: Milliseconds
    decision_latency_ms: Milliseconds
    cache_hit: bool
    trace_id: TraceId
    traceparent: Traceparent
    event_id: Uuid
    event_type: str
    event_source: EventSource
    event_at: UtcTime


class DeliveryAck(Contract):
    """The query-strategy service's answer, on ``facilitator.acks`` by ``user_id``.

    ``fail`` is final, with its reason; who may still take it later does not acknowledge.
    """

    delivery_id: Uuid
    user_id: UserId
    status: Literal["success", "fail"]
    reason: Reason
    acknowledged_at: UtcTime
    consumer: Identifier


class PendingDelivery(Contract):
    """Table ``pending[user_id|decision_tree_id]``: the delivery that is not answered for yet.

    ``due_at``: when its status becomes ``timeout`` and, if attempts are left, it is sent again.
    ``decision_offset``: where its decision stands on ``learner.decisions``, in the same partition.
    """

    delivery: Delivery
    due_at: UtcTime
    decision_offset: Count


class ReadPositions(Contract):
    """Table ``pending["positions"]``: where to go on reading, in the same partition.

    Written in the transaction with all that came of the records before it. ``decisions``: the next
    offset on ``learner.decisions``; ``acks``: on ``facilitator.acks``.
    """

    decisions: Count
    acks: Count


POSITIONS_KEY = "positions"
UNSENT = "unsent"
"""How the ``response_reason`` of a delivery begins that was superseded before it was sent."""


delivery_adapter: TypeAdapter[Delivery] = TypeAdapter(Delivery)
ack_adapter: TypeAdapter[DeliveryAck] = TypeAdapter(DeliveryAck)
pending_adapter: TypeAdapter[PendingDelivery] = TypeAdapter(PendingDelivery)
positions_adapter: TypeAdapter[ReadPositions] = TypeAdapter(ReadPositions)
