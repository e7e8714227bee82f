"""Token buckets, by a clock of our own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chat.rate_limit import Buckets


def test_a_bucket_empties_and_fills_again() -> None:
    buckets = Buckets(rate=2.0, burst=3)
    assert [buckets.take("a", 10.0) for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert buckets.take("b", 10.0) == 0
    assert buckets.wait("a", 10.25) == 0.25
    assert buckets.take("a", 10.5) == 0
    assert buckets.take("a", 10.5) == 0.5
    assert [buckets.take("a", 100.0) for _ in range(4)] == [0, 0, 0, 0.5]


@given(
    st.floats(0.1, 100), st.integers(1, 50), st.lists(st.floats(0, 0.5), min_size=1, max_size=200)
)
def test_no_more_than_rate_and_burst_allow(rate: float, burst: int, pauses: list[float]) -> None:
    buckets = Buckets(rate, burst)
    now = taken = 0.0
    for pause in pauses:
        now += pause
        taken += buckets.take("a", now) == 0
    assert taken <= burst + rate * sum(pauses[1:]) + 1e-6


@given(st.floats(0.1, 100), st.integers(1, 50), st.integers(0, 100))
def test_who_waits_as_long_as_they_are_told_is_let_in(rate: float, burst: int, asked: int) -> None:
    buckets = Buckets(rate, burst)
    for _ in range(asked):
        buckets.take("a", 0.0)
    seconds = buckets.wait("a", 0.0)
    assert buckets.take("a", seconds * (1 + 1e-9) + 1e-9) == 0


def test_buckets_that_nobody_uses_are_forgotten() -> None:
    buckets = Buckets(1.0, 1, most=2)
    for name in "abc":
        buckets.take(name, 0.0)
    assert len(buckets._buckets) == 2
    assert buckets.take("c", 0.0) == 1
    assert buckets.take("a", 0.0) == 0
