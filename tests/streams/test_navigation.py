"""Worked examples of the exploratory score."""

from __future__ import annotations

from datetime import timedelta

import pytest
from strategies import START

from schemas.behavior import MODULE_ORDER_WINDOW, ModuleVisit
from streams.navigation import exploratory_score, visit


def log(*entries: tuple[str, int] | tuple[str, int, str]) -> list[ModuleVisit]:
    return [
        ModuleVisit(e[0], START + timedelta(hours=i), e[2] if len(e) > 2 else "c", e[1])
        for i, e in enumerate(entries)
    ]


@pytest.mark.parametrize(
    ("entries", "score"),
    [
        ([], 0.0),
        ([("a", 0)], 0.0),
        ([("a", 0), ("b", 1), ("b", 1), ("c", 2)], 0.0),
        # 0→2 a skip, 2→1 back, 1→2 next
        ([("a", 0), ("c", 2), ("b", 1), ("c", 2)], 2 / 3),
        # no indices: a b c are seen in this order; back to a is off, then c over b is off
        ([("a", -1), ("b", -1), ("c", -1), ("a", -1), ("c", -1)], 2 / 4),
        # back to a is off; the step to b again and to a new module are on
        ([("a", -1), ("b", -1), ("a", -1), ("b", -1), ("d", -1)], 1 / 4),
        # one index missing: places of first appearance decide, and d is new
        ([("a", 0), ("d", -1), ("a", 0)], 1 / 2),
        # two courses between each other: each is followed by itself
        ([("a", 0, "x"), ("m", 5, "y"), ("b", 1, "x"), ("k", 2, "y")], 1 / 2),
    ],
)
def test_share_of_moves_off_the_path(entries: list[tuple[str, int]], score: float) -> None:
    assert exploratory_score(log(*entries)) == pytest.approx(score)


def test_late_visits_are_put_where_they_belong_and_the_oldest_leave() -> None:
    visits = log(*((f"m{i:02}", i) for i in range(MODULE_ORDER_WINDOW + 3)))
    window: tuple[ModuleVisit, ...] = ()
    for entry in (*visits[5:], *reversed(visits[:5])):
        window = visit(window, entry)
    assert [entry.module_index for entry in window] == list(range(3, 13))
