"""Tables on disk hold what tables in memory do, across closing, opening and restoring."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import disk_tables
from agents.disk_tables import DiskTables
from agents.partition_tables import (
    POSITION_KEY,
    Encoded,
    OwnedTables,
    PartitionTables,
    encoded,
    position_value,
)
from config.seed_trees import seed_trees
from simulation.classroom import simulate
from streams.batch import Source, process
from streams.decode import Record
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.tables import TABLE_NAMES

TOPICS = {f"app-{name}-changelog": name for name in TABLE_NAMES}
TREES = compile_trees(seed_trees())
NOW = datetime.now(UTC)


def fold(tables: OwnedTables, events: list[tuple[int, bytes]]) -> Encoded:
    """One committed batch."""
    records = [Record(offset, None, line, NOW) for offset, line in events]
    changed = encoded(
        process(records, tables, TREES, Rules(), Source("learner.events", 0)).tables.changed
    )
    end = events[-1][0] + 1
    tables.apply(changed, end, dict.fromkeys(TOPICS, end))
    return changed


def values(tables: OwnedTables, keys: dict[str, set[str]]) -> dict[str, Any]:
    return {
        f"{table} {key}": getattr(tables, table)(key)
        for table in TABLE_NAMES
        for key in keys[table]
    }


def test_they_hold_what_tables_in_memory_hold(tmp_path: Path) -> None:
    memory, disk = PartitionTables(), DiskTables(tmp_path, TOPICS, 5)  # most are read from disk
    disk.open("x")
    keys: dict[str, set[str]] = {name: set() for name in TABLE_NAMES}
    events = list(enumerate(islice(simulate(learners=20, days=60, seed=3), 2_000)))
    for number in range(20):
        batch = events[100 * number : 100 * (number + 1)]
        changed = fold(memory, batch)
        assert fold(disk, batch) == changed
        for table, changes in changed.items():
            keys[table] |= changes.keys()
        if number % 5 == 4:
            disk.close()
            assert set(disk.open("x").values()) == {memory.position}
            assert disk.position == memory.position
    assert values(disk, keys) == values(memory, keys)
    disk.close()


def test_what_is_restored_in_part_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_tables, "_RESTORED_AT_ONCE", 2)
    topic = "app-seen-changelog"
    disk = DiskTables(tmp_path, TOPICS, 4_000)
    disk.open("x")
    disk.restore("seen", b"u|1|0", b"12345678", 4)
    disk.restore("seen", b"position", b"40", 5)
    disk.restore("seen", b"u|2|0", b"abcdefgh", 6)
    disk.close()  # killed: the last one was not written yet
    assert disk.open("x") == {topic: 6}
    assert (disk.position, disk.seen("u|1|0"), disk.seen("u|2|0")) == (40, b"12345678", None)
    disk.close()
    disk.open("x")
    disk.restore("seen", b"u|1|0", None, 6)
    disk.restored()
    assert disk.seen("u|1|0") is None
    disk.close()


Commits = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abcd"), st.none() | st.binary(min_size=8, max_size=8)),
        st.sampled_from(["written", "killed before it is written", "killed after it"]),
    ),
    max_size=12,
)


@given(Commits)
@settings(max_examples=40, deadline=None)
def test_whenever_it_is_killed_the_changelogs_make_up_for_what_is_missing(commits: Any) -> None:
    topic = "app-seen-changelog"
    log: list[tuple[bytes, bytes | None]] = []
    with tempfile.TemporaryDirectory() as folder:
        disk = DiskTables(Path(folder), TOPICS, 4_000)
        _restored(disk, log, topic)
        for pages, what in commits:
            first = len(log)
            log += [*((key.encode(), raw) for key, raw in pages.items())]
            log.append((POSITION_KEY, position_value(first)))
            changed = {"seen": {key: (raw, raw) for key, raw in pages.items()}}
            if what != "killed before it is written":
                disk.apply(changed, first, {topic: first, "learner.decisions": 7})
            if what != "written":
                disk.close()
                _restored(disk, log, topic)
        last = dict(log)
        assert {key: disk.seen(key) for key in "abcd"} == {
            key: last.get(key.encode()) for key in "abcd"
        }
        assert disk.position == (int(last[POSITION_KEY] or 0) if log else None)
        disk.close()


def _restored(disk: DiskTables, log: list[tuple[bytes, bytes | None]], topic: str) -> None:
    for offset, (key, raw) in list(enumerate(log))[disk.open("x").get(topic, 0) :]:
        disk.restore("seen", key, raw, offset)
    disk.restored()
