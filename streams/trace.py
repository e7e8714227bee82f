"""W3C Trace Context: the ``traceparent`` that an event carries on its way, or gets here."""

from __future__ import annotations

from schemas.event import LearnerEvent


def traceparent_of(event: LearnerEvent) -> str:
    """The event's own, or one made of its id: then the trace-id is ``event_id`` without hyphens."""
    if event.traceparent is not None:
        return event.traceparent
    return traceparent_for(event.event_id)


def traceparent_for(event_id: str, trace_id: str | None = None) -> str:
    """A ``traceparent`` for an event, in the trace ``trace_id``, or in one of the event's own."""
    digits = event_id.replace("-", "")
    return f"00-{trace_id or digits}-{digits[16:]}-01"


def trace_id_of(traceparent: str) -> str:
    """The trace-id of a ``traceparent``: 32 hex digits."""
    return traceparent[3:35]
