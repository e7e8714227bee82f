"""Two partitions with as many events each, and what is told of one worker and two on them."""

from __future__ import annotations

import os
from itertools import islice

import pytest

from bench.contender_process import Run
from bench.process_size import cpu_seconds
from bench.scaling import Measured, figures, shared_out, together
from simulation.classroom import simulate
from simulation.disturbance import routing_key

ONE = [Measured(1000, 100, 40, 80), Measured(1100, 110, 40, 80), Measured(900, 90, 40, 80)]
TWO = [Measured(1800, 120, 30, 85), Measured(1650, 110, 30, 85), Measured(1700, 100, 30, 85)]


def test_partitions_hold_as_many_events_and_no_learner_is_in_both() -> None:
    lines = list(islice(simulate(learners=20, days=30, seed=5), 1_000))
    shared = shared_out(lines, 300)
    assert [len(some) for some in shared] == [300, 300]
    learners = [{routing_key(line) for line in some} for some in shared]
    assert not learners[0] & learners[1]
    for some in shared:
        places = [lines.index(line) for line in some]
        assert places == sorted(places)


def test_too_few_events_are_refused() -> None:
    with pytest.raises(SystemExit, match="events only"):
        shared_out(simulate(learners=2, days=2, seed=5), 10_000)


def test_workers_are_measured_from_the_first_moment_of_any_to_the_last_of_any() -> None:
    runs = [Run(100, 10.0, 12.0, 1.5), Run(100, 11.0, 14.0, 2.5)]
    steps = [Run(10, 0.0, 1.0, 0.01), Run(10, 0.0, 1.0, 0.03)]
    assert together(runs, 1.0, steps) == Measured(50.0, 20_000.0, 5_000.0, 2_000.0)


def test_what_scaling_reports() -> None:
    assert figures(ONE, TWO, cores=2) == {
        "scaling_2": 1.8,
        "scaling_2_min": 1.5,
        "scaling_2_max": 1.89,
        "scaling_2_by_cpu": 1.82,
        "scaling_2_step_by_cpu": 1.88,
        "scaling_2_how": (
            "two cores: each worker pinned to one, the broker free on both beside them; with its "
            "30 µs an event they have room for a ratio of 1.43"
        ),
        "scaling_events_per_s_1": 1000,
        "scaling_events_per_s_2": 1700,
        "scaling_cpu_us_per_event_1": 100,
        "scaling_cpu_us_per_event_2": 110,
        "scaling_broker_cpu_us_per_event_1": 40,
        "scaling_broker_cpu_us_per_event_2": 30,
    }
    assert "the broker to the other 6" in str(figures(ONE, TWO, cores=8)["scaling_2_how"])


def test_processor_time_is_read_of_whom_there_is() -> None:
    assert cpu_seconds(os.getpid()) > 0
    assert cpu_seconds(None) == 0
