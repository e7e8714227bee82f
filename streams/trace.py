"""W3C Trace Context: the ``traceparent`` that an event carries on its way, or gets here."""

from __future__ import annotations

from schemas.event import LearnerEvent


def traceparent_of(event: LearnerEvent) -> str:
    """The event's own, or one made of its id: then the trace-id is ``event_id`` without hyphens."""
    if event.traceparent is not None:
        return event.traceparent
    digits = event.event_id.replace("-", "")
    return f"00-{digits}-{digits[16:]}-01"


def trace_id_of(traceparent: str) -> str:
    """The trace-id of a ``traceparent``: 32 hex digits."""
    return traceparent[3:35]
