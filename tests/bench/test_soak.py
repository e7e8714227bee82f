"""What is told of a worker's lives: memory at the same age, and how long a start took."""

from __future__ import annotations

from datetime import UTC, datetime

from bench.soak import Sample, TakenOver, at_the_same_age, taken_over


def test_the_older_life_is_looked_at_when_it_was_as_young() -> None:
    first = [Sample(0.5, 80), Sample(30.0, 100), Sample(60.0, 140)]
    last = [Sample(0.4, 85), Sample(29.0, 110), Sample(31.0, 111)]
    assert at_the_same_age(first, last) == (first[1], last[2])
    assert at_the_same_age(last, first) == (last[2], first[1])


def test_a_start_ends_with_the_last_partition() -> None:
    log = """
    {"url": "http://127.0.0.1:9101/metrics", "event": "metrics"}
    {"partition": 0, "restored": 3, "event": "partition taken over", "timestamp": "2026-01-01T00:00:02Z"}
    {"partition": 1, "restored": 4, "event": "partition taken over", "timestamp": "2026-01-01T00:00:05Z"}
    """  # noqa: E501
    began = datetime(2026, 1, 1, tzinfo=UTC)
    assert taken_over(log, began) == TakenOver(2, 7, 5.0)
    assert taken_over("", began) == TakenOver(0, 0, 0.0)
