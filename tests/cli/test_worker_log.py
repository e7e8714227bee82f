"""What `learner worker` says while it works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, MutableMapping
from typing import Any

from structlog.testing import capture_logs

from cli.worker import told_each_minute


def said(came: Iterable[tuple[float, int]], **more: int) -> list[MutableMapping[str, Any]]:
    """``came``: at so many seconds, so many were folded so far."""
    now = [0.0]
    on_progress = told_each_minute(lambda: now[0])
    with capture_logs() as lines:
        for now[0], folded in came:
            on_progress(Counter(folded=folded, **more))
    return lines


def test_each_minute_it_says_what_came_in_that_minute() -> None:
    lines = said(((0.05, 1), (30.0, 7), (60.0, 10), (119.0, 12), (120.0, 15)), dead=2)
    assert [(line.get("folded"), line.get("dead")) for line in lines] == [(10, 2), (5, None)]


def test_a_minute_without_records_is_no_line() -> None:
    assert len(said(((60.0, 3), (120.0, 3), (180.0, 3)))) == 1
