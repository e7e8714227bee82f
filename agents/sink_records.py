"""A record from Kafka as a sink takes it: judged by its contract, ids and times spelled one way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from schemas.behavior import behavior_adapter
from schemas.chat import chat_adapter
from schemas.contract import encode
from schemas.dead_letter import DeadLetter
from schemas.decision import decision_adapter
from schemas.delivery import delivery_adapter
from schemas.engagement import engagement_adapter
from schemas.errors import InvalidRecord
from schemas.event import LearnerEvent, event_adapter
from schemas.example import example_adapter
from schemas.profile import profile_adapter
from schemas.prompt import prompt_set_adapter
from schemas.topics import (
    CHAT,
    DEAD_LETTERS,
    DECISIONS,
    DELIVERY_LOG,
    EVENTS,
    EXAMPLES,
    PROMPT_SETS,
    TREE_VERSIONS,
)
from schemas.tree import TreeDocument
from sinks.contract import SinkRecord
from streams.batch import Batch
from streams.decode import Record, decode
from streams.rules import Rules
from streams.tables import TableValue

_VALIDATE: dict[str, Callable[[bytes], object]] = {
    DECISIONS: decision_adapter.validate_json,
    CHAT: chat_adapter.validate_json,
    DELIVERY_LOG: delivery_adapter.validate_json,
    EXAMPLES: example_adapter.validate_json,
    TREE_VERSIONS: TreeDocument.model_validate_json,
    PROMPT_SETS: prompt_set_adapter.validate_json,
    DEAD_LETTERS: DeadLetter.model_validate_json,
    "profile": profile_adapter.validate_json,
    "behavior": behavior_adapter.validate_json,
    "engagement": engagement_adapter.validate_json,
}


STATES = ("profile", "behavior", "engagement")
"""The tables that stores know; the ids that were seen are the worker's alone."""


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


def records_made(partition: int, offset: int, batch: Batch) -> Iterator[SinkRecord]:
    """Decisions, chat records, examples and dead letters of a list of events, with ``offset`` for
    each."""
    for decision in batch.decisions:
        yield _made(DECISIONS, partition, offset, decision.user_id, encode(decision))
    for message in batch.chat:
        yield _made(CHAT, partition, offset, message.user_id, encode(message))
    for example in batch.examples:
        yield _made(EXAMPLES, partition, offset, example.user_id, encode(example))
    for letter in batch.dead_letters:
        raw = letter.model_dump_json().encode()
        yield _made(DEAD_LETTERS, partition, offset, letter.dead_letter_id, raw)


def state_records(
    partition: int, offset: int, changed: Mapping[str, Mapping[str, TableValue | None]]
) -> Iterator[SinkRecord]:
    """States by table and key, as their changelogs have them, with ``offset`` for each."""
    for table in STATES:
        for key, state in changed[table].items():
            yield _made(table, partition, offset, key, encode(state))


def _made(topic: str, partition: int, offset: int, key: str, raw: bytes) -> SinkRecord:
    return SinkRecord(topic, partition, offset, key, orjson.loads(raw), raw)
