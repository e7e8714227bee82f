"""The simulated runs of `docs/capacity.md`: latency by load, lectures that begin, workers that die,
and what was measured, foretold. The same for the same costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.capacity import (
    NATIONAL,
    Sizing,
    core_events_per_s,
    sizing,
    transaction_wait_ms,
)
from bench.measured_costs import MeasuredCosts
from bench.queueing import (
    BURST_SECONDS,
    Outage,
    Seconds,
    Waits,
    drain_seconds,
    normal_again,
    on_the_hour,
    poisson,
    service,
    simulate_worker,
)

_SEED = 28
_LATENCY_SECONDS = 20.0
PARTITIONS_OF_A_WORKER = (1, 3, 12, 48)
UTILISATIONS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9)
_FINE = tuple(round(0.05 * step, 2) for step in range(2, 20))
_BURSTS = (1.0, 2.0, 2.5, 3.0)
_DIES_AT = 20.0
_THREE_OTHERS = 3


class Latency(NamedTuple):
    """Milliseconds from an event's coming to Kafka to the commit of its decision."""

    partitions: int
    utilisation: float
    p50_ms: float
    p99_ms: float


class Burst(NamedTuple):
    """``p99_ms`` and the largest ``backlog`` of the minute in which ``factor`` times as much comes;
    ``seconds`` from its end until nothing of it is left."""

    factor: float
    utilisation: float
    p99_ms: float
    backlog: int
    seconds: float


class Recovery(NamedTuple):
    """``away``: seconds without a worker. ``drain``: by hand (`drain_seconds`) and as simulated."""

    what: str
    partitions: int
    utilisation: float
    away: float
    backlog: int
    p99_seconds: float
    drain_by_hand: float
    normal_again: float
    waits: Waits
    outage: Outage


class Check(NamedTuple):
    """What was measured, and what is foretold of it. ``fitted``: it went into the costs."""

    what: str
    measured: str
    foretold: float
    unit: str
    fitted: bool


def steady(
    costs: MeasuredCosts, events_per_s: float, partitions: int, wait_ms: float, seconds: float
) -> Waits:
    """A worker under Poisson arrivals."""
    rng = np.random.default_rng(_SEED)
    arrivals = [poisson(rng, events_per_s / partitions, seconds) for _ in range(partitions)]
    return simulate_worker(rng, arrivals, service(costs, wait_ms))


def latencies(
    costs: MeasuredCosts, partitions: int, shares: Sequence[float] = UTILISATIONS
) -> list[Latency]:
    """By utilisation: the events that come, as a share of those that a core folds."""
    wait = costs.replicated_transaction_wait_ms
    runs = (
        (share, steady(costs, share * core_events_per_s(costs), partitions, wait, _LATENCY_SECONDS))
        for share in shares
    )
    return [
        Latency(partitions, share, run.percentile_ms(50), run.percentile_ms(99))
        for share, run in runs
    ]


def knee(costs: MeasuredCosts, partitions: int) -> float:
    """The last utilisation, by twentieths, at which p99 is at most twice that of a tenth."""
    found = latencies(costs, partitions, _FINE)
    return max(one.utilisation for one in found if one.p99_ms <= 2 * found[0].p99_ms)


def bursts(costs: MeasuredCosts) -> list[Burst]:
    """Of a worker of the national plan, at its peak, when still more comes for a minute."""
    plan = sizing(costs, NATIONAL)
    partitions = plan.workers.partitions // plan.workers.processes
    rate = plan.folded_per_s / plan.workers.processes
    begins = _DIES_AT
    found = []
    for factor in _BURSTS:
        rng = np.random.default_rng(_SEED)
        arrivals = [
            on_the_hour(rng, rate / partitions, 3 * BURST_SECONDS, factor, begins)
            for _ in range(partitions)
        ]
        wait = transaction_wait_ms(costs, NATIONAL.replication)
        waits = simulate_worker(rng, arrivals, service(costs, wait))
        within = (waits.came >= begins) & (waits.came < begins + BURST_SECONDS)
        ends = begins + BURST_SECONDS
        left = waits.decided[within].max() - ends
        found.append(
            Burst(
                factor,
                factor * plan.workers.utilisation,
                1000 * float(np.percentile(waits.seconds[within], 99)),
                int(waits.backlog(np.arange(begins, ends + 1, 0.1)).max()),
                max(0.0, float(left)),
            )
        )
    return found


def recoveries(costs: MeasuredCosts) -> list[Recovery]:
    """A worker of the national plan dies at the peak.

    In its own slot (``LEARNER_WORKER__INSTANCE_ID``) no session has to time out. Without one, or on
    a machine that is gone, the session does, and three others take one partition each: they restore
    it, and their own wait for that.
    """
    plan = sizing(costs, NATIONAL)
    own = plan.workers.partitions // plan.workers.processes
    restore, start = plan.state.restore_seconds, costs.start_seconds
    return [
        recovery(costs, plan, "started again, state found on disk", own, start),
        recovery(costs, plan, "started again, state from the changelogs", own, start + restore),
        recovery(
            costs,
            plan,
            "gone; three others take one partition each",
            own + 1,
            costs.session_timeout_seconds + restore / _THREE_OTHERS,
        ),
    ]


def recovery(
    costs: MeasuredCosts, plan: Sizing, what: str, partitions: int, away: float
) -> Recovery:
    a_partition = plan.folded_per_s / plan.workers.partitions
    rate = a_partition * partitions
    by_hand = drain_seconds(away, rate, core_events_per_s(costs))
    outage = Outage(_DIES_AT, _DIES_AT + away)
    rng = np.random.default_rng(_SEED)
    ends = outage.back + 1.5 * by_hand + 30.0
    arrivals = [poisson(rng, a_partition, ends) for _ in range(partitions)]
    wait = transaction_wait_ms(costs, plan.load.replication)
    waits = simulate_worker(rng, arrivals, service(costs, wait), outage)
    meanwhile = (waits.came >= outage.at) & (waits.came < outage.back)
    return Recovery(
        what=what,
        partitions=partitions,
        utilisation=rate / core_events_per_s(costs),
        away=away,
        backlog=int(waits.backlog(np.array([outage.back]))[0]),
        p99_seconds=float(np.percentile(waits.seconds[meanwhile], 99)),
        drain_by_hand=by_hand,
        normal_again=normal_again(waits, outage),
        waits=waits,
        outage=outage,
    )


def checks(costs: MeasuredCosts) -> list[Check]:
    """What ``docs/performance.md`` measured on one broker and two cores."""
    idle = _seen(costs, 5)
    busy = _seen(costs, 2_400)
    slowest = _seen(costs.slower(4 / 3), 2_400)
    mixed = 1000 * np.concatenate([*4 * [busy.seconds], slowest.seconds])
    busier = _seen(costs, 3_400)
    restore = 1 / costs.restore_records_per_s
    return [
        Check("5 events/s: p50", "8", idle.p50_ms, "ms", True),
        Check("… p99", "11", idle.p99_ms, "ms", True),
        Check("2,400 events/s: worker's CPU an event", "303–317", busy.cpu_us, "µs", True),
        Check("… p50", "15–39", busy.p50_ms, "ms", False),
        Check("… p99", "68–148", busy.p99_ms, "ms", False),
        Check("… p50, cores a third slower", "15–39", slowest.p50_ms, "ms", False),
        Check("… p99", "68–148", slowest.p99_ms, "ms", False),
        Check(
            "… p99, a third slower for a fifth of the time",
            "68–148",
            float(np.percentile(mixed, 99)),
            "ms",
            False,
        ),
        Check("3,400 events/s: worker's CPU an event", "226–238", busier.cpu_us, "µs", False),
        Check("… p50", "22–27", busier.p50_ms, "ms", False),
        Check("… p99", "68–258", busier.p99_ms, "ms", False),
        Check("most events/s of a worker", "6,345–6,844", core_events_per_s(costs), "", False),
        Check(
            "restart, 1,000,000 learners from the changelogs onto the disk",
            "226",
            costs.start_seconds + 10_985_005 * restore,
            "s",
            True,
        ),
        Check(
            "restart, 100,000 learners",
            "13.4",
            costs.start_seconds + 1_098_505 * restore,
            "s",
            False,
        ),
    ]


class _Seen(NamedTuple):
    """``seconds``: of each event, as a reader sees it, so with the way to Kafka and from it."""

    seconds: Seconds
    cpu_us: float

    @property
    def p50_ms(self) -> float:
        return 1000 * float(np.percentile(self.seconds, 50))

    @property
    def p99_ms(self) -> float:
        return 1000 * float(np.percentile(self.seconds, 99))


def _seen(costs: MeasuredCosts, events_per_s: float) -> _Seen:
    seconds = max(_LATENCY_SECONDS, 10_000 / events_per_s)
    run = steady(costs, events_per_s, 1, costs.transaction_wait_ms, seconds)
    return _Seen(
        run.seconds + costs.outside_ms / 1000,
        1e6 * run.busy_seconds / len(run.came),
    )
