"""Decoders of ``learner.events``: one event, and several taken through the whole step."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from agents import topics
from config.seed_trees import seed_trees
from fuzz.decoder import ContractBroken, Decoder, samples
from schemas.chat import chat_adapter
from schemas.dead_letter import DeadLetter
from schemas.decision import Decision, decision_adapter
from schemas.errors import RejectedEvent
from schemas.event import LearnerEvent, event_adapter
from schemas.example import example_adapter
from schemas.feature import FEATURES
from simulation.classroom import simulate
from simulation.malformed import KINDS
from streams.batch import Batch, Source, process
from streams.decode import Record, decode, user_id_in
from streams.prompt import PLAIN
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.tables import MemoryTables, decode_value, encode_value
from streams.verification import verify

NOW = datetime(2027, 1, 1, tzinfo=UTC)
RULES = Rules(decide_on_every_event=True)
SOURCE = Source(topics.EVENTS, 0)
TREES = compile_trees(seed_trees())
MOST_EVENTS = 8


def _event(raw: bytes) -> LearnerEvent:
    return decode(Record(0, None, raw, NOW), RULES)


def _written(event: LearnerEvent) -> bytes:
    """As the facilitator and the gateway send their own."""
    return event_adapter.dump_json(event, exclude_none=True)


def _folded(raw: bytes) -> Batch:
    """An event a line. Whatever an event is, the worker goes on: no error is let through."""
    lines = raw.split(b"\n")[:MOST_EVENTS]
    tables = MemoryTables()
    records = [Record(offset, None, line, NOW) for offset, line in enumerate(lines)]
    batch = process(records, tables, TREES, RULES, SOURCE)
    tables.apply(batch.tables.changed)
    if batch.counts.total() != len(lines):
        raise ContractBroken(f"{len(lines)} lines, and {batch.counts} are accounted for")
    for table, values in tables.values.items():
        for key, value in values.items():
            if decode_value(table, encode_value(value)) != value:
                raise ContractBroken(f"{table} {key} is not what its changelog says: {value!r}")
    for adapter, made in (
        (decision_adapter, batch.decisions),
        (example_adapter, batch.examples),
        (chat_adapter, batch.chat),
    ):
        for each in made:
            if adapter.validate_json(encode_value(each)) != each:  # type: ignore[arg-type, attr-defined]
                raise ContractBroken(f"{each!r} is not what its topic says")
    for letter in batch.dead_letters:
        told = DeadLetter.model_validate_json(letter.model_dump_json())
        if told.raw != lines[letter.offset]:
            raise ContractBroken(f"a dead letter has {told.raw!r} for {lines[letter.offset]!r}")
    for decision in batch.decisions:
        _check_decision(decision)
    return batch


def _check_decision(decision: Decision) -> None:
    for feature in FEATURES:
        value = decision.input_attributes[feature.name]
        if not feature.low <= value <= feature.high:
            raise ContractBroken(f"{feature.name} is {value}, beyond its range")
    if faults := verify(decision, TREES[decision.tree_id], PLAIN):
        raise ContractBroken(f"a decision that does not hold: {faults}")


def _classroom() -> tuple[bytes, ...]:
    """Some of a simulated learner's life, so that all that is folded has begun."""
    lines = list(simulate(learners=1, days=30, seed=3))
    return tuple(
        b"\n".join(lines[first : first + MOST_EVENTS]) for first in range(0, 80, MOST_EVENTS)
    )


def _of_every_type() -> tuple[bytes, ...]:
    events = samples("learner-event")
    return tuple(b"\n".join(each) for each in (events[:8], events[8:16], events[16:]))


def _malformed() -> tuple[bytes, ...]:
    answer = orjson.loads(samples("learner-event")[6]) | {"score": 0.5}
    return tuple(b"[" if kind == "too large" else make(answer) for kind, make in KINDS.items())


DECODERS = (
    Decoder(
        "event",
        _event,
        RejectedEvent,
        (*samples("learner-event"), *_malformed()),
        _written,
        longest=70_000,
    ),
    Decoder(
        "user-id",
        user_id_in,
        (),
        (*samples("learner-event"), *_malformed()),
        longest=70_000,
    ),
    Decoder(
        "folded-events",
        _folded,
        (),
        (*_classroom(), *_of_every_type()),
        longest=6_000,
    ),
)
