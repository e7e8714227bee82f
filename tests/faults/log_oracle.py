"""What must be on Kafka for the events that are there: replay over the log, compared with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from confluent_kafka import Message

from agents import topics
from agents.partition_tables import POSITION_KEY
from agents.prompt_sets import prompts_in
from config.seed_trees import seed_trees
from faults.committed_records import committed_records
from schemas.state import encode
from streams.batch import Source, process
from streams.decode import Record
from streams.rules import Rules
from streams.scoring import compile_tree
from streams.tables import TABLE_NAMES, MemoryTables, encode_value


class Compared(NamedTuple):
    """Nothing lost, doubled or different is what every fault test asserts."""

    events: int
    lost: list[str]
    doubled: list[str]
    different: list[str]

    def assert_exact(self) -> None:
        found = {"lost": self.lost, "doubled": self.doubled, "different": self.different}
        assert not any(found.values()), {
            kind: (len(names), sorted(names)[:5]) for kind, names in found.items()
        }


def compare_with_replay(bootstrap: str, partitions: int, app_id: str = "learner") -> Compared:
    """The tables, decisions, examples and dead letters on Kafka against a replay of the log."""
    expected_rows: dict[str, bytes] = {}
    expected_records: dict[str, dict[str, bytes]] = {
        topics.DECISIONS: {},
        topics.EXAMPLES: {},
        topics.DEAD_LETTERS: {},
    }
    trees = {tree_id: compile_tree(document) for tree_id, document in seed_trees().items()}
    rules = Rules(prompts=prompts_in(None))
    log = committed_records(bootstrap, topics.EVENTS, partitions)
    for partition, messages in log.items():
        tables = MemoryTables()
        source = Source(topics.EVENTS, partition)
        batch = process(map(_record, messages), tables, trees, rules, source)
        tables.apply(batch.tables.changed)
        for name in TABLE_NAMES:
            for key, value in tables.values[name].items():
                expected_rows[f"{name}:{key}"] = encode_value(value)
        for decision in batch.decisions:
            expected_records[topics.DECISIONS][decision.decision_id] = encode(decision)
        for example in batch.examples:
            expected_records[topics.EXAMPLES][example.example_id] = encode(example)
        for letter in batch.dead_letters:
            raw = letter.model_dump_json().encode()
            expected_records[topics.DEAD_LETTERS][letter.dead_letter_id] = raw
    lost, doubled, different = _differences(expected_rows, _tables(bootstrap, partitions, app_id))
    for topic, expected in expected_records.items():
        found = _by_id(committed_records(bootstrap, topic, partitions))
        there = {id_: values[0] for id_, values in found.items()}
        more = _differences(expected, there)
        lost += more[0]
        doubled += more[1] + [id_ for id_, values in found.items() if len(values) > 1]
        different += more[2]
    return Compared(sum(map(len, log.values())), lost, doubled, different)


def outcomes(bootstrap: str, partitions: int) -> Counter[str]:
    """How many records each output topic has."""
    return Counter(
        {
            topic: sum(map(len, committed_records(bootstrap, topic, partitions).values()))
            for topic in (topics.DECISIONS, topics.EXAMPLES, topics.DEAD_LETTERS)
        }
    )


def _differences(
    expected: Mapping[str, bytes], found: Mapping[str, bytes]
) -> tuple[list[str], list[str], list[str]]:
    lost = [key for key in expected if key not in found]
    extra = [key for key in found if key not in expected]
    different = [key for key in expected if key in found and found[key] != expected[key]]
    return lost, extra, different


def _tables(bootstrap: str, partitions: int, app_id: str) -> dict[str, bytes]:
    rows: dict[str, bytes] = {}
    for name in TABLE_NAMES:
        changelog = topics.changelog(app_id, name)
        for messages in committed_records(bootstrap, changelog, partitions).values():
            for message in messages:
                key = f"{name}:{(message.key() or b'').decode()}"
                if message.value() is None:
                    rows.pop(key, None)
                else:
                    rows[key] = message.value()
    rows.pop(f"seen:{POSITION_KEY.decode()}", None)  # no state of any learner
    return rows


def _by_id(messages: Mapping[int, list[Message]]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for records in messages.values():
        for message in records:
            body: dict[str, Any] = orjson.loads(message.value())
            id_ = body.get("decision_id") or body.get("example_id") or body["dead_letter_id"]
            found.setdefault(id_, []).append(message.value())
    return found


def _record(message: Message) -> Record:
    return Record(
        message.offset(),
        message.key() or b"",
        message.value() or b"",
        datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC),
    )
