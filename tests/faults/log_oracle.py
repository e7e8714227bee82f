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
from schemas.contract import encode
from simulation.disturbance import event_id_of, routing_key
from streams.batch import Source, process
from streams.decode import Record
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.tables import TABLE_NAMES, MemoryTables, encode_value

RECORDS = (topics.DECISIONS, topics.EXAMPLES, topics.DEAD_LETTERS)


class Difference(NamedTuple):
    """One row or record that is not as it must be; ``place``: partition and offset on
    ``learner.events`` around which it happened."""

    what: str
    id: str
    place: str

    def __str__(self) -> str:
        return f"{self.what} {self.id} at {self.place}"


class Compared(NamedTuple):
    """Nothing lost, doubled or different is what every fault test asserts."""

    events: int
    lost: list[Difference]
    doubled: list[Difference]
    different: list[Difference]

    def assert_exact(self) -> None:
        assert not any(self[1:]), self.told()

    def told(self, most: int = 5) -> str:
        """How many of each, and the first ones, by place."""
        return "\n".join(
            f"{kind}: {len(found)}" + "".join(f"\n  {one}" for one in sorted(found)[:most])
            for kind, found in zip(self._fields[1:], self[1:], strict=True)
        )


class Rows(NamedTuple):
    """What should be, or is, on Kafka: by kind (a table or topic), then by key or id."""

    tables: dict[str, dict[str, bytes]]
    records: dict[str, dict[str, list[bytes]]]


def compare_with_replay(
    bootstrap: str,
    partitions: int,
    app_id: str = "learner",
    bad: set[tuple[int, int]] | None = None,
) -> Compared:
    """The tables, decisions, examples and dead letters on Kafka against a replay of the log.

    ``bad``: where bad records were sent, if known; each must have its dead letter, and beside them
    only events that came too late.
    """
    log = committed_records(bootstrap, topics.EVENTS, partitions)
    found = Rows(
        _tables(bootstrap, partitions, app_id),
        {t: _by_id(committed_records(bootstrap, t, partitions)) for t in RECORDS},
    )
    return compared(log, found, bad)


def compared(
    log: Mapping[int, list[Message]], found: Rows, bad: set[tuple[int, int]] | None = None
) -> Compared:
    """What is found against what a replay of the log makes."""
    expected = _replayed(log)
    places = _Places(log)
    all_ = Compared(sum(map(len, log.values())), [], [], [])
    for what, rows in expected.tables.items():
        _differences(all_, what, rows, found.tables[what], places)
    for what, records in expected.records.items():
        first = {id_: values[0] for id_, values in found.records[what].items()}
        must = {id_: values[0] for id_, values in records.items()}
        _differences(all_, what, must, first, places)
        twice = [(id_, values) for id_, values in found.records[what].items() if len(values) > 1]
        all_.doubled.extend(Difference(what, id_, places.of(id_, vs[1])) for id_, vs in twice)
    if bad is not None:
        _letters_against(bad, found.records[topics.DEAD_LETTERS], all_)
    return all_


def _replayed(log: Mapping[int, list[Message]]) -> Rows:
    expected = Rows({name: {} for name in TABLE_NAMES}, {topic: {} for topic in RECORDS})
    trees = compile_trees(seed_trees())
    rules = Rules(prompts=prompts_in(None))
    for partition, messages in log.items():
        tables = MemoryTables()
        source = Source(topics.EVENTS, partition)
        batch = process(map(_record, messages), tables, trees, rules, source)
        tables.apply(batch.tables.changed)
        for name in TABLE_NAMES:
            for key, value in tables.values[name].items():
                expected.tables[name][key] = encode_value(value)
        decisions, examples, letters = (expected.records[topic] for topic in RECORDS)
        for decision in batch.decisions:
            decisions.setdefault(decision.decision_id, []).append(encode(decision))
        for example in batch.examples:
            examples.setdefault(example.example_id, []).append(encode(example))
        for letter in batch.dead_letters:
            raw = letter.model_dump_json().encode()
            letters.setdefault(letter.dead_letter_id, []).append(raw)
    return expected


def _letters_against(
    bad: set[tuple[int, int]], letters: Mapping[str, list[bytes]], all_: Compared
) -> None:
    answered = {}
    for raw in (values[0] for values in letters.values()):
        letter = orjson.loads(raw)
        answered[letter["partition"], letter["offset"]] = letter["reason"]
    for partition, offset in bad - answered.keys():
        all_.lost.append(Difference("bad record", "", _place(partition, offset)))
    for (partition, offset), reason in answered.items():
        if reason != "too_late" and (partition, offset) not in bad:
            all_.different.append(Difference("good record", reason, _place(partition, offset)))


def outcomes(bootstrap: str, partitions: int) -> Counter[str]:
    """How many records each output topic has."""
    return Counter(
        {
            topic: sum(map(len, committed_records(bootstrap, topic, partitions).values()))
            for topic in RECORDS
        }
    )


class _Places:
    """Where on ``learner.events`` a row or record comes from."""

    def __init__(self, log: Mapping[int, list[Message]]) -> None:
        self._log = log
        self._events: dict[str, str] = {}

    def of(self, key: str, raw: bytes) -> str:
        try:
            body: dict[str, Any] = orjson.loads(raw)
        except orjson.JSONDecodeError:  # a page of ids
            return self._event(key.partition("|")[0])
        if "event_id" in body:
            return self._event(body["event_id"])
        if "offset" not in body:
            return self._event(body.get("user_id", ""))
        if "partition" in body:
            return _place(body["partition"], body["offset"])
        return f"{self._event(body['user_id'])} (folded up to {body['offset']})"

    def _event(self, id_: str) -> str:
        """Where an event or a learner is first seen; asked only if something is wrong."""
        if not self._events:
            for partition, messages in self._log.items():
                for message in messages:
                    line = message.value() or b""
                    for name in (event_id_of(line), routing_key(line).decode("latin-1")):
                        self._events.setdefault(name, _place(partition, message.offset()))
        return self._events.get(id_, "?")


def _place(partition: int, offset: int) -> str:
    return f"{partition}/{offset}"


def _differences(
    all_: Compared,
    what: str,
    expected: Mapping[str, bytes],
    found: Mapping[str, bytes],
    places: _Places,
) -> None:
    for key in expected.keys() | found.keys():
        must, is_ = expected.get(key), found.get(key)
        if must == is_:
            continue
        kind = all_.lost if is_ is None else all_.doubled if must is None else all_.different
        kind.append(Difference(what, key, places.of(key, is_ or must or b"")))


def _tables(bootstrap: str, partitions: int, app_id: str) -> dict[str, dict[str, bytes]]:
    rows: dict[str, dict[str, bytes]] = {name: {} for name in TABLE_NAMES}
    for name in TABLE_NAMES:
        changelog = topics.changelog(app_id, name)
        for messages in committed_records(bootstrap, changelog, partitions).values():
            for message in messages:
                key = (message.key() or b"").decode()
                if message.value() is None:
                    rows[name].pop(key, None)
                else:
                    rows[name][key] = message.value()
    rows["seen"].pop(POSITION_KEY.decode(), None)  # no state of any learner
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
