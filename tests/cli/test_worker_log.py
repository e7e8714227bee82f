"""What `learner worker` says while it works."""

from __future__ import annotations

from collections import Counter

from structlog.testing import capture_logs

from cli.worker import told_each_minute


def test_each_minute_it_says_what_came_in_that_minute() -> None:
    seconds = 0.0
    on_progress = told_each_minute(lambda: seconds)
    with capture_logs() as said:
        for seconds, folded in ((0.05, 1), (30.0, 7), (60.0, 10), (119.0, 12), (120.0, 15)):
            on_progress(Counter(folded=folded, dead=2))
    assert [(line.get("folded"), line.get("dead")) for line in said] == [(10, 2), (5, None)]


def test_a_minute_without_records_is_no_line() -> None:
    seconds = 0.0
    on_progress = told_each_minute(lambda: seconds)
    with capture_logs() as said:
        for seconds in (60.0, 120.0, 180.0):
            on_progress(Counter(folded=3))
    assert len(said) == 1
