"""What stands between a run and its report: the decisions must be those of a replay, each once."""

from __future__ import annotations

from itertools import islice

import pytest

from bench.guards_cost import decisions_of, waits_of
from bench.percentiles import percentiles
from bench.steady_load import Seen
from bench.worker_contest import Contest
from simulation.classroom import simulate

SENT = {"e1": 1.0, "e2": 2.0}
SEEN = [Seen("t", 1.5, "d1", "e1"), Seen("t", 2.1, "d2", "e2"), Seen("t", 2.2, "d3", "e2")]


def test_each_decision_waited_since_its_event() -> None:
    assert waits_of(SENT, SEEN, {"d1", "d2", "d3"}) == pytest.approx([0.5, 0.1, 0.2])


@pytest.mark.parametrize(
    ("seen", "decided"),
    [
        pytest.param(SEEN, {"d1", "d2", "d3", "d4"}, id="one-missing"),
        pytest.param(SEEN, {"d1", "d2"}, id="one-too-many"),
        pytest.param([*SEEN, SEEN[0]], {"d1", "d2", "d3"}, id="one-twice"),
    ],
)
def test_without_every_decision_once_there_is_no_report(
    seen: list[Seen], decided: set[str]
) -> None:
    with pytest.raises(SystemExit, match="no report"):
        waits_of(SENT, seen, decided)


def test_what_must_be_decided_follows_from_the_events() -> None:
    lines = list(islice(simulate(learners=5, days=30, seed=5), 100))
    assert len(decisions_of(lines)) > 10
    assert decisions_of(lines) == decisions_of(lines)


def test_percentiles_are_waits_that_were_there() -> None:
    waits = [at / 1000 for at in range(1, 102)]
    assert percentiles("x", waits) == {"x_p50_ms": 51.0, "x_p99_ms": 100.0}
    assert percentiles("x", []) == {"x_p50_ms": 0.0, "x_p99_ms": 0.0}


def test_ratios_are_taken_round_by_round() -> None:
    rates = {"a": [80.0, 90.0, 100.0], "b": [100.0, 100.0, 100.0]}
    contest = Contest(10, rates, {"a": [1.0], "b": [1.0]}, {})
    assert contest.ratios("r") == {"r": 0.9, "r_min": 0.8, "r_max": 1.0}
    assert contest.rate("a") == 90
