"""A comparison that reads a record at a time notices what is missing, too many or changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from agents.prompt_sets import prompts_in
from agents.topics import DECISIONS, EVENTS
from config.seed_trees import seed_trees
from faults.log_oracle import RECORDS, Compared
from faults.partition_oracle import against_replay, digest
from schemas.contract import encode
from simulation.classroom import simulate
from simulation.disturbance import routing_key
from streams.batch import Source
from streams.decode import Record
from streams.replay import Replay
from streams.rules import Rules
from streams.tables import encode_value

Digests = dict[str, dict[str, bytes]]
Tables = dict[str, dict[str, bytes]]


class _Message(NamedTuple):
    """As much of a Kafka message as is asked for."""

    record: Record

    def offset(self) -> int:
        return self.record.offset

    def key(self) -> bytes:
        return self.record.key

    def value(self) -> bytes:
        return self.record.value

    def timestamp(self) -> tuple[int, int]:
        return 1, round(1000 * self.record.recorded_at.timestamp())


def _changed(change: Callable[[Digests, Tables], Any]) -> Compared:
    """What is found of a partition that was worked off well, and then changed."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    lines = list(simulate(learners=3, days=20, seed=7))
    records = [Record(at, routing_key(line), line, now) for at, line in enumerate(lines)]
    replay = Replay(seed_trees(), Rules(prompts=prompts_in(None)), Source(EVENTS, 0))
    found: Digests = {topic: {} for topic in RECORDS}
    for batch in replay.feed(records):
        for decision in batch.decisions:
            found[DECISIONS][decision.decision_id] = digest(encode(decision))
        for example in batch.examples:
            found["tree.examples"][example.example_id] = digest(encode(example))
    tables = {
        name: {key: encode_value(value) for key, value in values.items()}
        for name, values in replay.tables.values.items()
    }
    change(found, tables)
    compared = against_replay(map(_Message, records), found, tables, 0)  # type: ignore[arg-type]
    assert compared.events == len(lines)
    return compared


def test_what_was_worked_off_well_is_exact() -> None:
    _changed(lambda found, tables: None).assert_exact()


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        pytest.param("lost", lambda found, _: found[DECISIONS].popitem(), id="a-decision-less"),
        pytest.param(
            "doubled", lambda found, _: found[DECISIONS].update(more=b""), id="a-decision-more"
        ),
        pytest.param(
            "different",
            lambda found, _: found[DECISIONS].update({min(found[DECISIONS]): b""}),
            id="a-decision-changed",
        ),
        pytest.param("lost", lambda _, tables: tables["seen"].popitem(), id="a-row-less"),
        pytest.param(
            "doubled", lambda _, tables: tables["profile"].update(more=b""), id="a-row-more"
        ),
        pytest.param(
            "different",
            lambda _, tables: tables["behavior"].update({min(tables["behavior"]): b""}),
            id="a-row-changed",
        ),
    ],
)
def test_one_difference_is_found(kind: str, change: Callable[[Digests, Tables], Any]) -> None:
    compared = _changed(change)
    found = {name: len(rows) for name, rows in compared._asdict().items() if name != "events"}
    assert found == {"lost": 0, "doubled": 0, "different": 0} | {kind: 1}
