"""Seats of those who wait."""

from __future__ import annotations

import pytest

from api.limits import Seats
from api.problems import Problem


def test_seats_are_given_back() -> None:
    seats = Seats(of_a_key=2, in_all=3)
    with seats.seat("a"), seats.seat("a"):
        with pytest.raises(Problem) as refused, seats.seat("a"):
            pass
        assert (refused.value.status, refused.value.word) == (429, "too-many-waiters")
        with seats.seat("b"):
            with pytest.raises(Problem) as refused, seats.seat("c"):
                pass
            assert refused.value.status == 503
            assert int(refused.value.headers["Retry-After"]) >= 1
        with seats.seat("c"):
            assert seats.taken == 3
    with pytest.raises(KeyError), seats.seat("a"):
        raise KeyError
    assert seats.taken == 0
