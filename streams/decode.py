"""Bytes to a valid event, or the reason why not: the only place where a record is judged."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import orjson
from pydantic import ValidationError

from schemas.dead_letter import DeadLetterReason
from schemas.errors import RejectedEvent
from schemas.event import LearnerEvent, event_adapter
from streams.rules import Rules

_REASONS = {
    "json_invalid": DeadLetterReason.NOT_JSON,
    "union_tag_invalid": DeadLetterReason.UNKNOWN_TYPE,
    "union_tag_not_found": DeadLetterReason.MISSING_FIELD,
    "extra_forbidden": DeadLetterReason.UNKNOWN_FIELD,
    "unexpected_keyword_argument": DeadLetterReason.UNKNOWN_FIELD,  # of a dataclass
    "missing": DeadLetterReason.MISSING_FIELD,
}


class Record(NamedTuple):
    """A record of ``learner.events``; a line of a file has its line number as offset, no key.

    ``recorded_at``: the record's Kafka timestamp, or when the replay began.
    """

    offset: int
    key: bytes | None
    value: bytes
    recorded_at: datetime


def decode(record: Record, rules: Rules) -> LearnerEvent:
    """The event in a record.

    A key must be the event's ``user_id`` byte for byte, since it chooses the partition and so the
    learner's state; a record without a key (from a file) is not checked for it.

    Raises:
        RejectedEvent: with the reason and the place of the first fault.
    """
    value = record.value
    if len(value) > rules.max_event_bytes:
        raise RejectedEvent(
            DeadLetterReason.TOO_LARGE,
            f"{len(value)} bytes; an event may have {rules.max_event_bytes}",
        )
    try:
        event: LearnerEvent = event_adapter.validate_json(value)
    except ValidationError as error:
        raise rejection(value, error) from None
    if record.key is not None and record.key != event.user_id.encode():
        raise RejectedEvent(
            DeadLetterReason.KEY_MISMATCH,
            f"the record's key must be the user_id {event.user_id}, in lower case, so that all "
            "events of a learner come in one partition",
        )
    if event.occurred_at > record.recorded_at + rules.future_tolerance:
        raise RejectedEvent(
            DeadLetterReason.FROM_THE_FUTURE,
            f"occurred_at {event.occurred_at.isoformat()} is more than "
            f"{rules.future_tolerance.total_seconds():.0f} s after the record was made, "
            f"{record.recorded_at.isoformat()}",
        )
    return event


def rejection(value: bytes, error: ValidationError) -> RejectedEvent:
    """The first fault of a record, as its dead letter will tell it."""
    first = error.errors(include_url=False, include_input=False)[0]
    reason = _REASONS.get(first["type"], DeadLetterReason.INVALID_VALUE)
    if reason is DeadLetterReason.NOT_JSON:
        try:
            value.decode()
        except UnicodeDecodeError as fault:
            return RejectedEvent(DeadLetterReason.NOT_UTF8, str(fault))
    place = ".".join(str(part) for part in first["loc"])
    return RejectedEvent(reason, f"{place}: {first['msg']}" if place else first["msg"])


def user_id_in(value: bytes) -> str | None:
    """The learner that a record names, valid or not, in lower case; ``None``: it names none."""
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    user_id = found.get("user_id") if isinstance(found, dict) else None
    return user_id.lower() if isinstance(user_id, str) else None
