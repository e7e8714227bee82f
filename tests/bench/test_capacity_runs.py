"""What `docs/capacity.md` says of its simulated runs in words; the figures of `bench.step_cost`."""

from __future__ import annotations

from itertools import islice

import pytest

from bench.capacity import core_events_per_s, cycle_seconds
from bench.capacity_runs import bursts, knee, latencies, recoveries, steady
from bench.measured_costs import measured_costs
from bench.step_cost import QUANTILES, relative_quantiles, run
from simulation.classroom import simulate
from streams.tables import MemoryTables

COSTS = measured_costs().with_state_on_disk()


def test_three_partitions_a_worker_are_best_at_half_of_the_load() -> None:
    waits = {n: latencies(COSTS, n, (0.5,))[0] for n in (1, 3, 12)}
    assert waits[3].p50_ms < min(waits[1].p50_ms, waits[12].p50_ms)
    assert waits[3].p99_ms < min(waits[1].p99_ms, waits[12].p99_ms)
    assert knee(COSTS, 3) > max(knee(COSTS, 1), knee(COSTS, 12))


@pytest.mark.parametrize("partitions", [1, 3, 12])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_the_formula_of_a_cycle_is_near_to_the_simulated_one(partitions: int, share: float) -> None:
    """It leaves out that partitions wait for each other by chance, so it is up to a fifth short."""
    rate = share * core_events_per_s(COSTS)
    run_ = steady(COSTS, rate, partitions, COSTS.replicated_transaction_wait_ms, 20)
    simulated = float(run_.batch_sizes.mean()) * partitions / rate
    wait = COSTS.replicated_transaction_wait_ms / 1000
    by_formula = cycle_seconds(COSTS, rate, partitions, wait)
    assert 0.78 * simulated < by_formula < 1.05 * simulated


def test_latency_grows_with_the_load() -> None:
    found = latencies(COSTS, 3, (0.1, 0.5, 0.8, 0.95))
    assert [one.p50_ms for one in found] == sorted(one.p50_ms for one in found)
    assert [one.p99_ms for one in found] == sorted(one.p99_ms for one in found)


def test_a_backlog_is_gone_when_it_must_be_by_hand() -> None:
    for one in recoveries(COSTS):
        by_hand = one.away + one.drain_by_hand
        assert one.normal_again == pytest.approx(by_hand, abs=2, rel=0.05), one.what
        # Who came first waits for the whole outage, and for those worked off before.
        assert 0.9 * one.away < one.p99_seconds < by_hand, one.what


def test_only_a_burst_above_the_core_leaves_a_backlog() -> None:
    for burst in bursts(COSTS):
        assert (burst.seconds > 1) == (burst.utilisation > 1)


def test_the_step_is_counted() -> None:
    made = run(islice(simulate(learners=5, days=30, seed=5), 200), MemoryTables(), 0)
    figures = made.figures()
    assert figures["events"] == len(made.seconds) == 200
    assert made.changelog_records >= 2 * 200
    assert 0 < made.strategies <= made.decisions
    assert made.decision_bytes > made.delivery_bytes > 0


def test_quantiles_are_multiples_of_the_mean() -> None:
    found = relative_quantiles([1.0, 2.0, 3.0] * 1_000)
    assert len(found) == QUANTILES
    assert (found[0], found[10], found[-1]) == (0.5, 1.0, 1.5)
