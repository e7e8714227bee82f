"""Rows made up for many learners can be taken over; a size is counted against no state."""

from __future__ import annotations

from bench.recovery import Changelogs, Recovery, figures
from bench.state_of_learners import class_of, rows_of
from schemas.topics import TABLES, changelog
from streams.tables import decode_value


def test_every_learner_has_rows_under_an_id_of_its_own() -> None:
    known = class_of(days=5)
    written = Changelogs()
    rows = list(written.counted(rows_of(known, range(450), "app")))
    assert written.records == len(rows) == len({(row.topic, row.key) for row in rows})
    assert {row.topic for row in rows} == {changelog("app", table) for table in TABLES}
    users = {row.key for row in rows if row.topic == changelog("app", "behavior")}
    assert len(users) == 450
    assert {row.key.partition(b"|")[0] for row in rows} == users


def test_their_values_are_valid_and_of_no_event_of_the_log() -> None:
    for row in rows_of(class_of(days=5), range(300, 310), "app"):
        (table,) = (table for table in TABLES if changelog("app", table) == row.topic)
        value = decode_value(table, row.value)
        if not isinstance(value, bytes):
            assert value.user_id.encode() == row.key.partition(b"|")[0]
            assert value.offset == -1


def test_figures_of_a_size() -> None:
    found = Recovery(seconds=12.34, restore_seconds=10.0, restored=1_100, resident_kb=300)
    empty = Recovery(seconds=2.0, restore_seconds=0.1, restored=0, resident_kb=100)
    assert figures(100, found, empty, changelog_bytes=50_000) == {
        "recovery_seconds_100": 12.3,
        "restore_seconds_100": 10.0,
        "changelog_bytes_100": 50_000,
        "restored_records_100": 1_100,
        "restored_records_per_s_100": 110,
        "changelog_bytes_per_learner": 500,
        "worker_bytes_per_learner": 2_048,
    }
