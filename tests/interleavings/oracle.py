"""What must be on Kafka once a partition is read up to an offset: one pass over it says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import orjson

from agents import topics
from agents.partition_tables import POSITION_KEY
from agents.transactions import Outgoing
from schemas.contract import encode
from schemas.fields import TreeId
from schemas.topics import EVENTS, TABLES
from schemas.tree import TreeDocument
from streams.batch import Batch, Source
from streams.decode import Record
from streams.replay import Replay
from streams.rules import Rules
from streams.tables import encode_value

CHANGELOGS = {topics.changelog("learner", table): table for table in TABLES}
_ID = {
    topics.DECISIONS: "decision_id",
    topics.EXAMPLES: "example_id",
    topics.CHAT: "event_id",
    topics.DEAD_LETTERS: "dead_letter_id",
}


class Made(NamedTuple):
    """A record that an event led to. Its ``id`` is derived from its cause."""

    topic: str
    id: str
    value: bytes


class Effects(NamedTuple):
    """``rows`` of the tables by ``table:key``; ``made`` in order of the topics, then of time."""

    rows: dict[str, bytes]
    made: list[Made]


def effects(records: Iterable[Outgoing]) -> Effects:
    """What committed records of a partition come to."""
    rows: dict[str, bytes] = {}
    made: list[Made] = []
    for record in records:
        if (table := CHANGELOGS.get(record.topic)) is not None:
            if record.key != POSITION_KEY:
                key = f"{table}:{record.key.decode()}"
                rows.pop(key, None) if record.value is None else rows.update({key: record.value})
        elif record.topic in _ID:
            value = record.value or b""
            made.append(Made(record.topic, orjson.loads(value)[_ID[record.topic]], value))
    return Effects(rows, sorted(made, key=_topic))


class Oracle:
    """`streams.replay.Replay` over one partition, its effects after each record."""

    def __init__(self, trees: dict[TreeId, TreeDocument], rules: Rules, partition: int) -> None:
        self._replay = Replay(trees, rules, Source(EVENTS, partition))
        self.after: list[Effects] = [Effects({}, [])]
        self.counts: list[Counter[str]] = [Counter()]

    def read(self, record: Record) -> None:
        (batch,) = self._replay.feed([record])
        before = self.after[-1]
        rows = dict(before.rows)
        for table, changes in batch.tables.changed.items():
            for key, value in changes.items():
                if value is None:
                    rows.pop(f"{table}:{key}", None)
                else:
                    rows[f"{table}:{key}"] = encode_value(value)
        made = sorted([*before.made, *_made(batch)], key=_topic)
        self.after.append(Effects(rows, made))
        self.counts.append(Counter(self._replay.counts))


def _topic(record: Made) -> str:
    return record.topic


def _made(batch: Batch) -> Iterator[Made]:
    for decision in batch.decisions:
        yield Made(topics.DECISIONS, decision.decision_id, encode(decision))
    for message in batch.chat:
        yield Made(topics.CHAT, message.event_id, encode(message))
    for example in batch.examples:
        yield Made(topics.EXAMPLES, example.example_id, encode(example))
    for letter in batch.dead_letters:
        yield Made(topics.DEAD_LETTERS, letter.dead_letter_id, letter.model_dump_json().encode())
