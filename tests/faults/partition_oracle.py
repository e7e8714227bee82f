"""`faults.log_oracle` for logs that no memory holds: a partition at a time, a record at a time.

Of what stands on Kafka only ids and digests are kept, until the replay has made the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

import orjson
from confluent_kafka import Message

from agents.partition_tables import POSITION_KEY
from agents.prompt_sets import prompts_in
from agents.topics import DEAD_LETTERS, DECISIONS, EVENTS, EXAMPLES, changelog
from config.seed_trees import seed_trees
from config.settings import Settings
from faults import log_oracle
from faults.committed_records import committed
from faults.log_oracle import RECORDS, Compared, Difference
from schemas.contract import encode
from streams.batch import Batch, Source
from streams.replay import Replay
from streams.rules import Rules
from streams.tables import TABLE_NAMES, encode_value


class Audited(NamedTuple):
    """What the comparison found, and how much state it was: ``learners`` and bytes of rows."""

    compared: Compared
    learners: int
    state_bytes: int


class Made(NamedTuple):
    """A record that a replay made."""

    topic: str
    id: str
    value: bytes


def compare_by_partition(settings: Settings, bad: set[tuple[int, int]]) -> Audited:
    """As `log_oracle.compare_with_replay`; ``bad``: where bad records were sent."""
    all_ = Audited(Compared(0, [], [], []), 0, 0)
    for partition in range(settings.kafka.partitions):
        one = _compare(settings, partition, {place for place in bad if place[0] == partition})
        summed = (mine + more for mine, more in zip(all_.compared, one.compared, strict=True))
        all_ = Audited(
            Compared(*summed), all_.learners + one.learners, all_.state_bytes + one.state_bytes
        )
    return all_


def against_replay(
    log: Iterator[Message],
    found: dict[str, dict[str, bytes]],
    tables: dict[str, dict[str, bytes]],
    partition: int,
) -> Compared:
    """A partition's records (`digest` by topic and id) and tables against a replay of its log.

    ``found`` is used up.
    """
    lost, doubled, different = [], [], []
    events = 0
    replay = Replay(seed_trees(), Rules(prompts=prompts_in(None)), Source(EVENTS, partition))
    for events, message in enumerate(log, 1):  # noqa: B007  # the last one is the count
        (batch,) = replay.feed([log_oracle._record(message)])
        for topic, id_, value in _made(batch):
            is_ = found[topic].pop(id_, None)
            if is_ != digest(value):
                kind = lost if is_ is None else different
                kind.append(Difference(topic, id_, f"{partition}/{message.offset()}"))
    for topic, left in found.items():
        doubled += [Difference(topic, id_, f"partition {partition}") for id_ in left]
    for name, rows in tables.items():
        must = replay.tables.values[name]
        for key in must.keys() | rows.keys():
            made = encode_value(must[key]) if key in must else None
            if made != rows.get(key):
                kind = lost if key not in rows else doubled if made is None else different
                kind.append(Difference(name, key, f"partition {partition}"))
    return Compared(events, lost, doubled, different)


def digest(value: bytes) -> bytes:
    return blake2b(value, digest_size=16).digest()


def _compare(settings: Settings, partition: int, bad: set[tuple[int, int]]) -> Audited:
    bootstrap, app_id = settings.kafka.bootstrap_servers, settings.worker.app_id
    twice: list[Difference] = []
    letters: dict[str, list[bytes]] = {}
    found: dict[str, dict[str, bytes]] = {topic: {} for topic in RECORDS}
    for topic, digests in found.items():
        for message in committed(bootstrap, topic, [partition]):
            body = orjson.loads(message.value())
            id_ = body.get("decision_id") or body.get("example_id") or body["dead_letter_id"]
            if topic == DEAD_LETTERS:
                letters.setdefault(id_, []).append(message.value())
            if id_ in digests:
                twice.append(Difference(topic, id_, f"partition {partition}"))
            digests[id_] = digest(message.value())
    tables = {name: _rows(bootstrap, changelog(app_id, name), partition) for name in TABLE_NAMES}
    compared = against_replay(committed(bootstrap, EVENTS, [partition]), found, tables, partition)
    compared.doubled.extend(twice)
    log_oracle._letters_against(bad, letters, compared)
    size = sum(len(key) + len(raw) for rows in tables.values() for key, raw in rows.items())
    return Audited(compared, len(tables["behavior"]), size)


def _made(batch: Batch) -> Iterator[Made]:
    for decision in batch.decisions:
        yield Made(DECISIONS, decision.decision_id, encode(decision))
    for example in batch.examples:
        yield Made(EXAMPLES, example.example_id, encode(example))
    for letter in batch.dead_letters:
        yield Made(DEAD_LETTERS, letter.dead_letter_id, letter.model_dump_json().encode())


def _rows(bootstrap: str, topic: str, partition: int) -> dict[str, bytes]:
    rows: dict[str, bytes] = {}
    for message in committed(bootstrap, topic, [partition]):
        key, value = (message.key() or b"").decode(), message.value()
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
    rows.pop(POSITION_KEY.decode(), None)
    return rows
