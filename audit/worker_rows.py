"""The worker's tables as rows; what a log without its beginning can still tell of them: pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import orjson
from pydantic import ValidationError

from agents.partition_reader import key_bytes
from audit.rows import Row
from schemas.behavior import Behavior, behavior_adapter
from schemas.errors import RejectedEvent
from streams import seen
from streams.decode import Record, decode
from streams.rules import Rules
from streams.step import reject_too_late
from streams.tables import TableValue, encode_value

_ID_BYTES = 8


def row(table: str, key: str, raw: bytes) -> Row:
    """Of a changelog's record; a page of ``seen`` as its ids, in the order in which they came.
    What is no state is told as it is."""
    id_ = key_bytes(key).decode("utf-8", "backslashreplace")
    if table == "seen":
        ids = [raw[at : at + _ID_BYTES].hex() for at in range(0, len(raw), _ID_BYTES)]
        return Row(table, id_, {"ids": ids})
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        value = {"no state": raw.decode("utf-8", "backslashreplace")}
    return Row(table, id_, value)


def row_of(table: str, key: str, value: TableValue | None) -> Row:
    """Of a value; ``None`` says that the key is deleted."""
    return Row(table, key, None) if value is None else row(table, key, encode_value(value))


def event_not_folded(
    record: Record, stored: Mapping[str, Mapping[str, bytes]], rules: Rules
) -> str | None:
    """The page of ``seen`` in which an event's id should be and is not; ``None`` if all is well.

    That needs no replay: whatever was folded before, an event that is valid and not too late must
    have been seen. Ids of days beyond the horizon are forgotten, so nothing is said of those.

    Args:
        stored: the four tables, as bytes.
    """
    try:
        event = decode(record, rules)
        behavior = _behavior(stored["behavior"].get(event.user_id), event.user_id)
        reject_too_late(event, behavior, _sure(rules.horizon))
    except RejectedEvent:
        return None
    day = seen.day_number(event.occurred_at)
    place = seen.find(stored["seen"].get, event.user_id, day, seen.event_token(event.event_id))
    return None if place is None else seen.page_key(event.user_id, day, place[0])


def _behavior(raw: bytes | None, user_id: str) -> Behavior:
    """A learner's first also for what is no state: another comparison tells that."""
    try:
        return behavior_adapter.validate_json(raw or b"")
    except ValidationError:
        return Behavior(user_id)


def _sure(horizon: timedelta) -> timedelta:
    """Pages are forgotten by whole days."""
    return horizon - timedelta(days=1)
