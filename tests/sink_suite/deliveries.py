"""What a facilitator writes on its log: every way that a delivery can go, of any decisions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from msgspec.structs import replace

from schemas.decision import Decision
from schemas.delivery import Delivery
from schemas.fields import ResponseStatus
from streams.derived_id import derived_id
from streams.trace import trace_id_of

Way = tuple[tuple[int, ResponseStatus], ...]

_PENDING: Way = ((1, "pending"),)
_TIMEOUTS: Way = (*_PENDING, (1, "timeout"), (2, "pending"), (2, "timeout"), (3, "pending"))
WAYS: tuple[Way, ...] = (
    (*_PENDING, (1, "success")),
    (*_TIMEOUTS[:3], (2, "success")),
    (*_PENDING, (1, "fail")),
    _PENDING,
    (*_TIMEOUTS, (3, "timeout")),
    ((1, "superseded"),),
)
"""Attempt and status, in the order of the log; unless a newer decision supersedes it before. What
was not sent yet by then begins with it."""

_REASONS: dict[ResponseStatus, str] = {
    "fail": "no such learner; O'Brien's \"words\", ünïcode",
    "superseded": "a newer decision",
}
_AT_ONCE = 2


class InventedFacilitator:
    """Its log, in order: `decided` for each decision, `meanwhile` now and then."""

    def __init__(self) -> None:
        self._decisions = 0
        self._last: dict[tuple[str, str], Delivery] = {}
        self._to_come: dict[tuple[str, str], list[Delivery]] = {}

    def decided(self, decision: Decision) -> Iterator[Delivery]:
        """Sends it; of the same learner and tree what nobody has answered for is superseded."""
        key = (decision.user_id, decision.tree_id)
        self._to_come.pop(key, None)
        last = self._last.get(key)
        if last is not None and last.response_status == "pending":
            yield _with_status(last, "superseded")
        way = WAYS[self._decisions % len(WAYS)]
        self._decisions += 1
        self._last[key], *to_come = deliveries_of(decision, way)
        if to_come:
            self._to_come[key] = to_come
        yield self._last[key]

    def meanwhile(self, at_once: int = _AT_ONCE) -> Iterator[Delivery]:
        """What was answered or timed out by now, the oldest first."""
        for key in list(islice(self._to_come, at_once)):
            first, *rest = self._to_come.pop(key)
            if rest:
                self._to_come[key] = rest
            self._last[key] = first
            yield first

    def rest(self) -> Iterator[Delivery]:
        """All that is still to come."""
        while self._to_come:
            yield from self.meanwhile()


def deliveries_of(decision: Decision, way: Way) -> Iterator[Delivery]:
    """Each record that the log holds of it."""
    sent = Delivery(
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
        delivery_timestamp=decision.timestamp + timedelta(milliseconds=31.5),
        response_status="pending",
        response_reason="",
        responded_at=None,
        latency_ms=31.5,
        decision_latency_ms=9.0,
        cache_hit=False,
        trace_id=trace_id_of(decision.traceparent),
        traceparent=decision.traceparent,
        event_id=decision.event_id,
        event_type=decision.event_type,
        event_source=decision.event_source,
        event_at=decision.timestamp,
    )
    for attempt, status in way:
        later = timedelta(seconds=10 * (attempt - 1))
        again = replace(
            sent,
            attempt=attempt,
            delivery_timestamp=sent.delivery_timestamp + later,
            latency_ms=sent.latency_ms + 1000 * later.total_seconds(),
            decision_latency_ms=sent.decision_latency_ms + 1000 * later.total_seconds(),
        )
        yield again if status == "pending" else _with_status(again, status)


def _with_status(delivery: Delivery, status: ResponseStatus) -> Delivery:
    return replace(
        delivery,
        response_status=status,
        response_reason=_REASONS.get(status, ""),
        responded_at=delivery.delivery_timestamp + timedelta(milliseconds=250),
    )
