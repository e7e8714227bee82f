"""A record from Kafka as a sink takes it: judged by its contract, ids and times spelled one way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from pydantic import ValidationError

from schemas.behavior import behavior_adapter
from schemas.dead_letter import DeadLetter
from schemas.decision import decision_adapter
from schemas.engagement import engagement_adapter
from schemas.errors import InvalidRecord
from schemas.event import LearnerEvent, event_adapter
from schemas.example import example_adapter
from schemas.profile import profile_adapter
from schemas.topics import DEAD_LETTERS, DECISIONS, EVENTS, EXAMPLES, TREE_VERSIONS
from schemas.tree import TreeDocument
from sinks.contract import SinkRecord
from streams.decode import Record, decode
from streams.rules import Rules

_VALIDATE: dict[str, Callable[[bytes], object]] = {
    DECISIONS: decision_adapter.validate_json,
    EXAMPLES: example_adapter.validate_json,
    TREE_VERSIONS: TreeDocument.model_validate_json,
    DEAD_LETTERS: DeadLetter.model_validate_json,
    "profile": profile_adapter.validate_json,
    "behavior": behavior_adapter.validate_json,
    "engagement": engagement_adapter.validate_json,
}


def event_record(partition: int, record: Record, rules: Rules) -> SinkRecord:
    """A record of ``learner.events``, judged as the worker judges it; without what is ``null``.

    Raises:
        RejectedEvent: the worker writes the dead letter.
    """
    return record_of_event(partition, record.offset, decode(record, rules))


def record_of_event(partition: int, offset: int, event: LearnerEvent) -> SinkRecord:
    """A valid event, wherever it came from."""
    raw = event_adapter.dump_json(event, exclude_none=True)
    return SinkRecord(EVENTS, partition, offset, event.user_id, orjson.loads(raw), raw)


def made_record(
    topic: str, partition: int, offset: int, key: bytes | None, raw: bytes | None
) -> SinkRecord:
    """A record of a topic that we write ourselves; changelogs are called by their table.

    Raises:
        InvalidRecord: it is not what its topic holds: the place and the fault.
    """
    text = (key or b"").decode("utf-8", "replace")
    if raw is None:
        return SinkRecord(topic, partition, offset, text, None, b"")
    try:
        _VALIDATE[topic](raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise InvalidRecord(f"no record of {topic}: {where}: {first['msg']}") from None
    value: dict[str, Any] = orjson.loads(raw)
    return SinkRecord(topic, partition, offset, text, value, raw)
