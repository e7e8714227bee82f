"""What a simulated class leaves on every topic that sinks read, in the order of the log."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import UTC, datetime

from agents.sink_records import event_record, made_record
from config.seed_trees import seed_trees
from schemas.contract import encode
from schemas.delivery import Delivery
from schemas.prompt import PromptSet, version_of
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
from schemas.tree import Retraining, TreeDocument
from simulation.classroom import simulate
from sink_suite.conversations import conversations
from sink_suite.deliveries import InventedFacilitator
from sinks.contract import SinkRecord
from streams.batch import Source
from streams.decode import Record
from streams.prompt import PLAIN
from streams.replay import Replay
from streams.rules import Rules
from streams.tables import encode_value

RECORDED_AT = datetime(2026, 1, 1, tzinfo=UTC)


@functools.cache
def stream_records(learners: int = 12, days: int = 20, seed: int = 11) -> tuple[SinkRecord, ...]:
    """Events with all that the worker makes of them (each state after each event), in order.

    Among them two malformed records (so two dead letters), talks with the tutor of each kind, and
    the log of deliveries, whose statuses change while other events come in; at the end two tree
    versions and two sets of prompts.
    """
    records: list[SinkRecord] = []
    offsets: dict[str, int] = {}

    def add(topic: str, key: str, raw: bytes) -> None:
        offset = offsets[topic] = offsets.get(topic, -1) + 1
        records.append(made_record(topic, 0, offset, key.encode(), raw))

    rules = Rules()
    replay = Replay(seed_trees(), rules, Source(EVENTS, 0))
    facilitator = InventedFacilitator()

    def deliver(log: Iterable[Delivery]) -> None:
        for delivery in log:
            add(DELIVERY_LOG, delivery.user_id, encode(delivery))

    lines = list(conversations(simulate(learners, days, seed)))
    lines[5:5] = [b"{", b'{"type": "no.such"}']
    for offset, line in enumerate(lines):
        record = Record(offset, None, line, RECORDED_AT)
        (batch,) = replay.feed([record])
        if batch.counts["folded"]:
            records.append(event_record(0, record, rules))
        for decision in batch.decisions:
            add(DECISIONS, decision.user_id, encode(decision))
        for message in batch.chat:
            add(CHAT, message.user_id, encode(message))
        deliver(facilitator.meanwhile())
        for decision in batch.decisions:
            deliver(facilitator.decided(decision))
        for example in batch.examples:
            add(EXAMPLES, example.user_id, encode(example))
        for letter in batch.dead_letters:
            add(DEAD_LETTERS, letter.dead_letter_id, letter.model_dump_json().encode())
        for table in ("profile", "behavior", "engagement"):
            for key, value in batch.tables.changed[table].items():
                assert value is not None
                add(table, key, encode_value(value))
    deliver(facilitator.rest())
    for version in published_versions():
        key = f"{version.tree_id}:{version.version}"
        add(TREE_VERSIONS, key, version.model_dump_json().encode())
    for prompts in prompt_sets():
        add(PROMPT_SETS, prompts.version, encode(prompts))
    return tuple(records)


def prompt_sets() -> list[PromptSet]:
    """The one that the replay fills, and one with other words."""
    templates = {
        tree_id: {label: f"O'Brien's \"{label}\" {{because}} ünïcode" for label in labels}
        for tree_id, labels in PLAIN.set.templates.items()
    }
    levels = {"basic": "Short sentences.", "intermediate": "", "advanced": "As it comes."}
    return [PLAIN.set, PromptSet(version_of(templates, levels), templates, levels)]


def published_versions() -> list[TreeDocument]:
    """One version that was learned and one that a person made."""
    primary, intervention = seed_trees().values()
    learned = primary.model_copy(
        update={
            "version": 1,
            "author": "trainer",
            "reason": "better by 0.03",
            "retraining_logs": Retraining(
                RECORDED_AT, ("recent_score: 0.5 → 0.55",), data_points_used=150
            ),
        }
    )
    by_hand = intervention.model_copy(
        update={"version": 1, "author": "m.curie", "reason": "O'Brien's \"hints\"; ünïcode"}
    )
    return [learned, by_hand]
