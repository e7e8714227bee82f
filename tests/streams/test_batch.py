"""Laws of the whole step: lists of any size, repeats anywhere, late events, replayed offsets."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import event_objects

from config.seed_trees import seed_trees
from schemas.dead_letter import DeadLetterReason
from streams.batch import Batch, Source, process
from streams.decode import Record
from streams.prompt import PLAIN
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.tables import MemoryTables, encode_value
from streams.verification import verify

NOW = datetime(2027, 1, 1, tzinfo=UTC)
TREES = compile_trees(seed_trees())
RULES = Rules()
SOURCE = Source("learner.events", 0)
USER = "00000000-0000-4000-8000-000000000000"


def lines(events: list[dict[str, Any]]) -> list[bytes]:
    return [orjson.dumps(event) for event in events]


def fold(
    tables: MemoryTables, values: list[bytes], first_offset: int = 0, rules: Rules = RULES
) -> Batch:
    """One batch, taken over into the tables."""
    records = [Record(first_offset + n, None, value, NOW) for n, value in enumerate(values)]
    batch = process(records, tables, TREES, rules, SOURCE)
    tables.apply(batch.tables.changed)
    return batch


def rows(tables: MemoryTables) -> dict[str, bytes]:
    return {
        f"{table}:{key}": encode_value(value)
        for table, values in tables.values.items()
        for key, value in values.items()
    }


def without_offsets(tables: MemoryTables) -> dict[str, Any]:
    """Where an event stood in its partition is no part of what is known of the learner."""
    found: dict[str, Any] = {}
    for key, raw in rows(tables).items():
        found[key] = raw if key.startswith("seen") else {**orjson.loads(raw), "offset": 0}
    return found


def told(number: int, at: datetime, by_others: bool) -> bytes:
    """An answer of the learner's, or a label that a person assigned."""
    fields: dict[str, Any] = {"type": "quiz.submitted", "question_id": "q", "score": 0.5}
    if by_others:
        fields = {
            "type": "label.assigned",
            "tree_id": "primary_classification",
            "label": "Fast Tracker",
            "assigned_by": "tutor-1",
        }
    return orjson.dumps(
        {
            "event_id": f"00000000-0000-4000-8000-{number:012d}",
            "user_id": USER,
            "course_id": "algebra",
            "occurred_at": at,
            **fields,
        },
        option=orjson.OPT_UTC_Z,
    )


def view(minute: int, day: int = 1) -> bytes:
    at = datetime(2026, 3, day, 10, minute, tzinfo=UTC)
    return orjson.dumps(
        {
            "event_id": f"00000000-0000-4000-8000-{day:06d}{minute:06d}",
            "type": "content.viewed",
            "user_id": USER,
            "course_id": "algebra",
            "occurred_at": at,
            "content_id": "c",
            "content_type": "text",
        },
        option=orjson.OPT_UTC_Z,
    )


EVENTS = st.lists(event_objects(), max_size=25, unique_by=lambda event: event["event_id"])


@settings(max_examples=40, deadline=None)
@given(EVENTS, st.integers(1, 7))
def test_the_size_of_a_list_changes_nothing(events: list[dict[str, Any]], size: int) -> None:
    whole, parts = MemoryTables(), MemoryTables()
    values = lines(events)
    expected = fold(whole, values)
    decisions = []
    for first in range(0, len(values), size):
        decisions += fold(parts, values[first : first + size], first).decisions
    assert decisions == expected.decisions
    assert rows(parts) == rows(whole)


@settings(max_examples=40, deadline=None)
@given(EVENTS, st.data())
def test_repeats_change_nothing_but_their_count(
    events: list[dict[str, Any]], data: st.DataObject
) -> None:
    values = lines(events)
    repeated = list(values)
    for value in data.draw(
        st.lists(st.sampled_from(values), max_size=10) if values else st.just([])
    ):
        at = data.draw(st.integers(values.index(value) + 1, len(repeated)))
        repeated.insert(max(at, repeated.index(value) + 1), value)
    once, twice = MemoryTables(), MemoryTables()
    expected, found = fold(once, values), fold(twice, repeated)
    assert found.decisions == expected.decisions
    assert found.examples == expected.examples
    assert found.counts["repeated"] == len(repeated) - len(values)
    assert without_offsets(twice) == without_offsets(once)


@settings(max_examples=25, deadline=None)
@given(EVENTS)
def test_offsets_folded_before_are_passed_over(events: list[dict[str, Any]]) -> None:
    tables = MemoryTables()
    values = lines(events)
    fold(tables, values)
    before = rows(tables)
    again = fold(tables, values)
    assert again.counts == Counter(replayed=len(values))
    assert rows(tables) == before


@settings(max_examples=25, deadline=None)
@given(EVENTS)
def test_every_decision_can_be_worked_out_again(events: list[dict[str, Any]]) -> None:
    batch = fold(MemoryTables(), lines(events), rules=Rules(decide_on_every_event=True))
    # What tells of a delivery would otherwise be decided on, delivered, and told again.
    decided = [event for event in events if event["type"] != "strategy.delivered"]
    assert len(batch.decisions) == 2 * len(decided)
    for decision in batch.decisions:
        assert verify(decision, TREES[decision.tree_id], PLAIN) == ()


@settings(max_examples=25, deadline=None)
@given(EVENTS, st.lists(st.sampled_from([b"", b"{", b"[]", b"\xff"]), max_size=5))
def test_bad_records_leave_their_neighbours_alone(
    events: list[dict[str, Any]], bad: list[bytes]
) -> None:
    good, mixed = MemoryTables(), MemoryTables()
    expected = fold(good, lines(events))
    values = lines(events)
    for number, value in enumerate(bad):
        values.insert(min(2 * number, len(values)), value)
    found = fold(mixed, values)
    assert found.decisions == expected.decisions
    assert len(found.dead_letters) == found.counts["dead"] == len(bad)
    assert without_offsets(mixed) == without_offsets(good)


def test_an_event_from_beyond_the_horizon_is_too_late_and_changes_nothing() -> None:
    tables = MemoryTables()
    rules = Rules(horizon=timedelta(days=5))
    fold(tables, [view(0, day=10)], rules=rules)
    before = rows(tables)
    late = fold(tables, [view(0, day=4), view(1, day=6)], 1, rules)
    assert [letter.reason for letter in late.dead_letters] == [DeadLetterReason.TOO_LATE]
    assert late.counts == Counter(dead=1, folded=1)
    assert rows(tables) != before


def test_ids_of_days_beyond_the_horizon_are_forgotten() -> None:
    tables = MemoryTables()
    rules = Rules(horizon=timedelta(days=5))
    fold(tables, [view(minute, day=1) for minute in range(3)], rules=rules)
    (day_1,) = tables.values["seen"]
    batch = fold(tables, [view(0, day=9)], 3, rules)
    assert batch.tables.changed["seen"][day_1] is None  # a tombstone in the changelog
    assert day_1 not in tables.values["seen"]
    assert len(tables.values["seen"]) == 1
    behavior = tables.behavior(USER)
    assert behavior is not None
    assert len(behavior.seen_days) == 1


def test_a_repeat_is_known_for_as_long_as_it_may_come() -> None:
    tables = MemoryTables()
    rules = Rules(horizon=timedelta(days=5))
    fold(tables, [view(0, day=1), view(0, day=6)], rules=rules)
    assert fold(tables, [view(0, day=1)], 2, rules).counts == Counter(repeated=1)


def test_what_others_told_long_after_the_last_activity_is_known_as_a_repeat() -> None:
    tables = MemoryTables()
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    others = [told(n, begin + timedelta(days=31), by_others=True) for n in range(1, 4)]
    fold(tables, [told(0, begin, by_others=False), *others])
    fold(tables, [told(9, begin + timedelta(days=90), by_others=True)], 4)
    assert fold(tables, others * 2, 5).counts == Counter(repeated=6)


TOLD = st.tuples(st.integers(0, 40), st.integers(0, 23), st.booleans())


@settings(max_examples=150, deadline=None)
@given(st.lists(TOLD, min_size=1, max_size=40), st.data())
def test_what_was_folded_is_never_folded_again(
    events: list[tuple[int, int, bool]], data: st.DataObject
) -> None:
    """Whoever told it, in whatever order, however often; and what is kept stays bounded."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    values = [
        told(number, begin + timedelta(days=day, hours=hour), by_others)
        for number, (day, hour, by_others) in enumerate(events)
    ]
    again = data.draw(st.lists(st.sampled_from(values), max_size=40))
    rules = Rules(horizon=timedelta(days=2))
    tables = MemoryTables()
    folded: set[bytes] = set()
    latest = ""
    for offset, value in enumerate([*values, *again, *values]):
        outcome = fold(tables, [value], offset, rules).counts
        at = orjson.loads(value)["occurred_at"]
        own = b"quiz" in value
        if outcome["folded"]:
            assert value not in folded
            folded.add(value)
            latest = max(latest, at) if own else latest
        else:
            assert not own or at <= latest, "what is new of the learner's own is always taken"
        behavior = tables.behavior(USER)
        assert behavior is not None
        kept = {int(key.split("|")[1]) for key in tables.values["seen"]}
        assert kept == set(behavior.seen_days)
        assert len(kept) <= 2 * (2 + 2)
