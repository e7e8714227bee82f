"""The simulated worker by hand, against known queues, and by what must hold for any arrivals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import queueing
from bench.measured_costs import measured_costs
from bench.queueing import (
    BURST_SECONDS,
    Outage,
    Seconds,
    Service,
    Waits,
    drain_seconds,
    normal_again,
    on_the_hour,
    poisson,
    service,
    simulate_worker,
)


def constant(event: float, batch: float, wait: float) -> Service:
    """Seconds that are always the same."""
    return Service([event, event], 0.0, batch, wait, 0.0)


def run(
    *arrivals: list[float] | Seconds, of: Service, outage: Outage | None = None, seed: int = 1
) -> Waits:
    came = [np.array(each, float) for each in arrivals]
    return simulate_worker(np.random.default_rng(seed), came, of, outage)


def test_what_comes_during_a_batch_is_the_next_one() -> None:
    """The first is folded in 1 s and waits 2 s for Kafka; the others are a batch of two then."""
    waits = run([0.0, 0.5, 1.0], of=constant(event=1, batch=0, wait=2))
    assert waits.decided.tolist() == [3.0, 7.0, 7.0]
    assert waits.seconds.tolist() == [3.0, 6.5, 6.0]
    assert waits.batch_sizes.tolist() == [1, 2]
    assert waits.busy_seconds == 3.0


def test_partitions_share_the_core_but_not_the_wait() -> None:
    waits = run([0.0], [0.0], of=constant(event=1, batch=0.5, wait=2))
    assert waits.decided.tolist() == [3.5, 5.0]


def test_who_was_ready_first_gets_the_core_first() -> None:
    """The first partition's second event is there at 1 s, and ready for the core only at 4 s."""
    waits = run([0.0, 1.0], [0.5], [3.5], of=constant(event=3, batch=0, wait=1))
    by_event = dict(zip(waits.came.tolist(), waits.decided.tolist(), strict=True))
    assert by_event == {0.0: 4.0, 0.5: 7.0, 3.5: 10.0, 1.0: 13.0}


def test_a_batch_has_a_limit() -> None:
    waits = run([0.0] * 2_001, of=constant(event=0.001, batch=0, wait=1))
    assert waits.batch_sizes.tolist() == [2_000, 1]


def test_what_was_not_committed_is_folded_again() -> None:
    """The worker dies while the first batch waits for Kafka; the second event came meanwhile."""
    waits = run([0.0, 3.0], of=constant(event=1, batch=0, wait=2), outage=Outage(2.5, 5.0))
    assert waits.decided.tolist() == [9.0, 9.0]


def test_what_was_committed_before_is_not() -> None:
    waits = run([0.0, 3.0], of=constant(event=1, batch=0, wait=1), outage=Outage(2.5, 5.0))
    assert waits.decided.tolist() == [2.0, 7.0]


def test_with_batches_of_one_it_is_the_queue_of_the_books(monkeypatch: pytest.MonkeyPatch) -> None:
    """M/D/1: service D and, before it, rho D / 2 (1 - rho) on average (Pollaczek–Khinchine)."""
    monkeypatch.setattr(queueing, "MOST_RECORDS", 1)
    came = poisson(np.random.default_rng(3), 800, 200)
    waits = run(came, of=constant(event=0.001, batch=0, wait=0))
    assert waits.seconds.mean() == pytest.approx(0.001 + 0.8 * 0.001 / (2 * 0.2), rel=0.05)


def test_without_a_load_an_event_waits_for_itself_alone() -> None:
    waits = run(poisson(np.random.default_rng(3), 1, 500), of=constant(0.001, 0.002, 0.003))
    assert waits.percentile_ms(50) == pytest.approx(6.0)


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_a_cycle_is_what_a_transaction_takes_over_what_is_left_of_the_core(load: float) -> None:
    came = poisson(np.random.default_rng(3), 1_000 * load, 100)
    waits = run(came, of=constant(event=0.001, batch=0.002, wait=0.008))
    cycle = waits.batch_sizes.mean() / (1_000 * load)
    assert cycle == pytest.approx(0.010 / (1 - load), rel=0.05)


def test_littles_law() -> None:
    """Events that wait, on average over time = events/s x the seconds that each waits."""
    rng = np.random.default_rng(5)
    came = [poisson(rng, 500, 60) for _ in range(3)]
    waits = run(*came, of=service(measured_costs(), 9.0))
    at = np.arange(0.0, float(waits.decided.max()), 0.001)
    in_it = len(waits.came) * waits.seconds.mean() / at[-1]
    assert waits.backlog(at).mean() == pytest.approx(in_it, rel=0.01)


def test_the_same_seed_gives_the_same_waits() -> None:
    came = poisson(np.random.default_rng(5), 500, 5)
    one, same, other = (run(came, of=service(measured_costs(), 3.0), seed=s) for s in (1, 1, 2))
    assert one.decided.tolist() == same.decided.tolist() != other.decided.tolist()


def test_measured_times_keep_their_mean_and_their_p99() -> None:
    costs = measured_costs()
    of = service(costs, costs.transaction_wait_ms)
    came = np.arange(0.0, 20_000.0, 1.0)
    waits = run(came, of=of)
    held = costs.step_us_per_event + costs.worker_us_per_event + costs.worker_us_per_transaction
    assert waits.busy_seconds / len(came) == pytest.approx(held / 1e6, rel=0.01)
    longest = held / 1000 + costs.transaction_wait_p99_ms
    assert waits.percentile_ms(99) == pytest.approx(longest, rel=0.03)


def test_a_backlog_is_worked_off_at_what_is_to_spare() -> None:
    assert drain_seconds(away=10, events_per_s=500, capacity_per_s=1_500) == 5.0
    with pytest.raises(ValueError, match="leave nothing"):
        drain_seconds(away=10, events_per_s=1_500, capacity_per_s=1_500)


def test_and_so_it_is_in_the_simulation() -> None:
    """500/s of 1,000/s, away for 10 s: 5,000 wait, and are worked off in 10 s."""
    came = poisson(np.random.default_rng(3), 500, 60)
    outage = Outage(20, 30)
    waits = run(came, of=constant(event=0.001, batch=0, wait=0.005), outage=outage)
    assert waits.backlog(np.array([30.0]))[0] == pytest.approx(5_000, rel=0.05)
    assert normal_again(waits, outage) == pytest.approx(20, abs=2)


def test_usual_again_by_hand() -> None:
    """An event each tenth of a second waits 1 s; those of the seconds 5 to 8 wait 3 s."""
    came = np.arange(0.0, 20.0, 0.1)
    waited = np.where((came >= 5) & (came < 8), 3.0, 1.0)
    waits = Waits(came, came + waited, np.ones(1), 0.0)
    assert normal_again(waits, Outage(5.0, 6.0)) == 3.0
    always = Waits(came, came + np.where(came >= 5, 3.0, 1.0), np.ones(1), 0.0)
    assert normal_again(always, Outage(5.0, 6.0)) == math.inf
    assert normal_again(Waits(came, came + 1, np.ones(1), 0.0), Outage(5.0, 6.0)) == 0.0


def test_lectures_begin_on_the_hour() -> None:
    came = on_the_hour(np.random.default_rng(1), 100, 200, burst=3, begins=50)
    within = (came >= 50) & (came < 50 + BURST_SECONDS)
    assert within.sum() == pytest.approx(300 * BURST_SECONDS, rel=0.05)
    assert (~within).sum() == pytest.approx(100 * (200 - BURST_SECONDS), rel=0.05)
    assert (np.diff(came) >= 0).all()


ARRIVALS = st.lists(
    st.lists(st.floats(0, 10, allow_subnormal=False), max_size=30).map(sorted),
    min_size=1,
    max_size=5,
).filter(any)
OUTAGES = st.one_of(
    st.none(),
    st.tuples(st.floats(0, 10), st.floats(0.1, 10)).map(lambda o: Outage(o[0], o[0] + o[1])),
)


@given(ARRIVALS, OUTAGES)
def test_every_event_is_decided_once_in_order_and_not_while_nobody_works(
    arrivals: list[list[float]], outage: Outage | None
) -> None:
    of = Service([0.01, 0.02, 0.2], 0.01, 0.05, 0.1, 0.4)
    waits = run(*arrivals, of=of, outage=outage)
    assert len(waits.came) == sum(map(len, arrivals)) == waits.batch_sizes.sum()
    assert (waits.seconds >= 0.07).all()
    assert waits.busy_seconds <= waits.decided.max()
    if outage is not None:
        assert not ((waits.decided > outage.at) & (waits.decided < outage.back)).any()
    for came in arrivals:
        alone = run(came, of=of, outage=outage)
        assert (np.diff(alone.decided) >= 0).all()
