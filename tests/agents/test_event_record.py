"""A record as the decoder takes it, whatever timestamp its producer gave it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from agents.event_record import as_event_record, recorded_at
from config.seed_trees import seed_trees
from schemas.dead_letter import DeadLetterReason
from streams.batch import Source, process
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.tables import MemoryTables

TREES = compile_trees(seed_trees())
USER = "0b9d7c1e-6a52-4a53-9a6b-2f3a5e8d1c77"
EVENT = json.dumps(
    {
        "event_id": "8a4f0a3c-2f5b-4f1e-8a77-52d3c9a4e001",
        "type": "session.started",
        "user_id": USER,
        "occurred_at": "2026-03-01T11:59:00Z",
        "session_id": "s",
    }
).encode()
TIMESTAMPS = {
    "none given": (-1, 1969, "dead"),
    "smallest": (-(2**63), 1, "dead"),
    "below year 1": (-62_135_596_800_001, 1, "dead"),
    "within": (1_772_366_400_000, 2026, "folded"),
    "near the end": (253_402_300_799_999, 9998, "folded"),
    "microseconds": (1_772_366_400_000_000, 9998, "folded"),
    "largest": (2**63 - 1, 9998, "folded"),
}


@pytest.mark.parametrize("name", TIMESTAMPS)
def test_an_odd_timestamp_is_judged_like_every_other(name: str) -> None:
    timestamp, year, outcome = TIMESTAMPS[name]
    fetched: Any = SimpleNamespace(offset=0, key=USER.encode(), value=EVENT, timestamp=timestamp)
    record = as_event_record(fetched)
    assert record.recorded_at.year == year
    batch = process([record], MemoryTables(), TREES, Rules(), Source("learner.events", 0))
    assert batch.counts == {outcome: 1}
    assert all(letter.reason is DeadLetterReason.FROM_THE_FUTURE for letter in batch.dead_letters)


def test_milliseconds_are_kept_exactly() -> None:
    expected = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(milliseconds=123)
    assert recorded_at(1_772_366_400_123) == expected
