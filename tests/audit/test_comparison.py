"""Rows that must be there against rows that are, by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.comparison import Comparison, TableReport, with_fields
from audit.rows import Row, digest


def row(id_: str, value: Any = 1) -> Row:
    return Row("t", id_, None if value is None else {"value": value})


def compared(
    stored: list[Row], must: list[Row], may: tuple[Row, ...] = (), refused: tuple[Row, ...] = ()
) -> TableReport:
    comparison = Comparison("store", ("t",))
    for r in stored:
        comparison.stored(r)
    for r in must:
        comparison.must(r)
    for r in may:
        comparison.may(r)
    for r in refused:
        comparison.refused(r)
    (report,) = comparison.reports(first=3)
    return report


def counts(report: TableReport) -> tuple[int, int, int, int]:
    return report.rows, report.missing, report.extra, report.different


def test_the_same_is_in_step() -> None:
    report = compared([row("a"), row("b")], [row("a", 0), row("b"), row("a")])
    assert counts(report) == (2, 0, 0, 0)
    assert report.in_step


def test_one_of_each_kind() -> None:
    report = compared([row("b", 2), row("c")], [row("a"), row("b")])
    assert counts(report) == (2, 1, 1, 1)
    assert {(d.id, d.kind) for d in report.first} == {
        ("a", "missing"),
        ("b", "different"),
        ("c", "extra"),
    }


def test_a_row_that_stands_twice_is_one_too_many() -> None:
    assert counts(compared([row("a"), row("a")], [row("a")])) == (1, 0, 1, 0)


def test_a_deleted_row_that_still_stands_is_one_too_many() -> None:
    assert counts(compared([row("a")], [row("a"), row("a", None)])) == (1, 0, 1, 0)


@pytest.mark.parametrize("stored", [1, 2, 3])
def test_a_quick_sink_may_be_ahead_but_not_wrong(stored: int) -> None:
    """The range ends with 1; events after it have led to 2, then 3."""
    may = (row("a", 2), row("a", 3), row("new", 7))
    assert compared([row("a", stored)], [row("a", 1)], may).in_step
    assert compared([row("a", stored), row("new", 7)], [row("a", 1)], may).in_step


def test_ahead_and_wrong_is_different() -> None:
    may = (row("a", 2), row("new", 7))
    assert counts(compared([row("a", 9)], [row("a", 1)], may)) == (1, 0, 0, 1)
    assert counts(compared([row("a"), row("new", 8)], [row("a")], may)) == (2, 0, 0, 1)


def test_a_row_deleted_after_the_range_may_be_gone() -> None:
    assert compared([], [row("a")], (row("a", None),)).in_step


def test_what_lies_before_the_range_is_not_compared() -> None:
    comparison = Comparison("store", ("t",))
    comparison.stored(row("a", "odd"))
    comparison.must(row("a"), compared=False)
    comparison.must(row("gone"), compared=False)
    (report,) = comparison.reports(first=3)
    assert report.in_step


def test_a_refused_row_is_counted_as_such() -> None:
    report = compared([], [row("a")], refused=(row("a"),))
    assert report.in_step
    assert report.refused == 1


def test_only_the_first_differences_are_named() -> None:
    report = compared([], [row(str(n)) for n in range(10)])
    assert report.missing == 10
    assert len(report.first) == 3


def test_a_difference_is_told_field_by_field() -> None:
    report = compared([row("a", 2)], [row("a", 1)])
    told = with_fields(report.first[0], row("a", 2), row("a", 1))
    assert told.fields == {"value": (2, 1)}
    assert with_fields(report.first[0], None, row("a", 1)).fields == {"value": (None, 1)}


@given(st.dictionaries(st.text(), st.floats(allow_nan=False) | st.text() | st.booleans()))
def test_a_digest_does_not_depend_on_the_order(values: dict[str, Any]) -> None:
    assert digest(values) == digest(dict(reversed(values.items())))
    assert digest(values) != digest({**values, "one more": 1})
