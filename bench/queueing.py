"""Events that wait for a worker: how long at which load, and what an outage leaves behind.

A simulation, the same for the same seed, of one worker process as `agents.learner` is one. Each of
its partitions has one batch at a time. A batch takes all that has come in (2,000 at most); the core
folds it, which no other partition can use meanwhile, since they share one event loop; then it waits
for Kafka, while the core folds others' batches. Partitions get the core in the order in which they
became ready. Times are drawn from the distributions of `bench.measured_costs`.

Not in it: what else the machine does, garbage collection, the time from a producer to Kafka and
from Kafka to a reader, and events that wait in the consumer beyond what a batch can take.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import heapify, heapreplace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.learner import MOST_RECORDS
from bench.measured_costs import MeasuredCosts

Seconds = NDArray[np.float64]

_P99_OF_A_NORMAL = 2.326
BURST_SECONDS = 60.0
"""At the hour everybody comes in: for a minute so much more comes than at other times."""


class Outage(NamedTuple):
    """The worker dies at ``at``, and what it had not committed is folded anew from ``back`` on."""

    at: float
    back: float


class Service(NamedTuple):
    """Seconds. ``step_quantiles``: of one event's, by equal shares; ``wait_median`` and
    ``wait_sigma``: of a log-normal wait for Kafka, 0 for a constant one."""

    step_quantiles: Sequence[float]
    per_event: float
    per_batch: float
    wait_median: float
    wait_sigma: float


class Waits(NamedTuple):
    """Of each event: when it came to Kafka, and when its decision was committed, in the order of
    coming. ``batch_sizes``: of each transaction; ``busy_seconds``: of the core."""

    came: Seconds
    decided: Seconds
    batch_sizes: Seconds
    busy_seconds: float

    @property
    def seconds(self) -> Seconds:
        return self.decided - self.came

    def percentile_ms(self, share: float) -> float:
        return 1000 * float(np.percentile(self.seconds, share))

    def backlog(self, at: Seconds) -> NDArray[np.int64]:
        """Events that have come and are not decided, at each of the moments."""
        return np.searchsorted(self.came, at, "right") - np.searchsorted(
            np.sort(self.decided), at, "right"
        )


def service(costs: MeasuredCosts, wait_ms: float) -> Service:
    """As measured; the wait's median is ``wait_ms``, its p99 as many times that as measured."""
    tail = costs.transaction_wait_p99_ms / costs.transaction_wait_ms
    quantiles = np.array(costs.step_time_quantiles)
    mean = float((quantiles[:-1] + quantiles[1:]).mean() / 2)
    step = costs.step_us_per_event / 1e6 / mean
    return Service(
        step_quantiles=[float(step * q) for q in quantiles],
        per_event=costs.worker_us_per_event / 1e6,
        per_batch=costs.worker_us_per_transaction / 1e6,
        wait_median=wait_ms / 1000,
        wait_sigma=math.log(tail) / _P99_OF_A_NORMAL,
    )


def poisson(rng: np.random.Generator, events_per_s: float, seconds: float) -> Seconds:
    """Arrivals that know nothing of each other."""
    count = rng.poisson(events_per_s * seconds)
    return np.sort(rng.uniform(0.0, seconds, count))


def on_the_hour(
    rng: np.random.Generator, events_per_s: float, seconds: float, burst: float, begins: float
) -> Seconds:
    """The same, and ``burst`` times as many for `BURST_SECONDS`: lectures begin."""
    more = poisson(rng, (burst - 1) * events_per_s, BURST_SECONDS) + begins
    return np.sort(np.concatenate([poisson(rng, events_per_s, seconds), more[more < seconds]]))


def simulate_worker(
    rng: np.random.Generator,
    arrivals: Sequence[Seconds],
    service: Service,
    outage: Outage | None = None,
) -> Waits:
    """``arrivals``: of each partition, ascending. Runs until all are decided.

    1. the partition that has been ready longest gets the core, once that is free
    2. its batch is what came in up to then
    3. the core folds it; a worker that dies before the commit leaves it as it was
    4. the wait for Kafka; then the partition is ready again, or with its next event
    """
    steps = [_sums(rng, len(came), service) for came in arrivals]
    decided = [np.zeros(len(came)) for came in arrivals]
    taken = [0] * len(arrivals)
    ready = [(float(came[0]), at) for at, came in enumerate(arrivals) if len(came)]
    heapify(ready)
    free = busy = 0.0
    sizes: list[int] = []
    while ready and ready[0][0] < math.inf:
        since, at = ready[0]
        begins = max(since, free)
        if outage is not None and outage.at <= begins < outage.back:
            begins = outage.back
        came, first = arrivals[at], taken[at]
        end = int(np.searchsorted(came, begins, "right"))
        last = min(end, first + MOST_RECORDS)
        held = float(steps[at][last] - steps[at][first]) + service.per_batch
        done = (
            begins
            + held
            + service.wait_median * math.exp(service.wait_sigma * rng.standard_normal())
        )
        if outage is not None and begins < outage.at < done:
            free = outage.back
            heapreplace(ready, (outage.back, at))
            continue
        free = begins + held
        busy += held
        sizes.append(last - first)
        decided[at][first:last] = done
        taken[at] = last
        then = max(done, float(came[last])) if last < len(came) else math.inf
        heapreplace(ready, (then, at))
    came = np.concatenate(arrivals)
    order = np.argsort(came, kind="stable")
    return Waits(came[order], np.concatenate(decided)[order], np.array(sizes, float), busy)


def _sums(rng: np.random.Generator, count: int, service: Service) -> Seconds:
    """Core seconds of the first n events, for each n."""
    shares = np.linspace(0.0, 1.0, len(service.step_quantiles))
    steps = np.interp(rng.random(count), shares, service.step_quantiles) + service.per_event
    return np.concatenate([[0.0], np.cumsum(steps)])


def drain_seconds(away: float, events_per_s: float, capacity_per_s: float) -> float:
    """How long the backlog of an outage lasts after it: away x events/s / (capacity - events/s).

    Raises:
        ValueError: there is no capacity to spare.
    """
    if events_per_s >= capacity_per_s:
        raise ValueError(f"{events_per_s:,.0f} events/s leave nothing of {capacity_per_s:,.0f}")
    return away * events_per_s / (capacity_per_s - events_per_s)


def normal_again(waits: Waits, outage: Outage, window: float = 1.0) -> float:
    """Seconds from the outage's beginning until p99, by the second in which events came, is no more
    than half above what it was before; infinite if it never is."""
    edges = np.arange(0.0, float(waits.came[-1]), window)
    at = np.searchsorted(waits.came, edges)
    p99 = [float(np.percentile(waits.seconds[a:b], 99)) if b > a else 0.0 for a, b in pairwise(at)]
    before = [p for edge, p in zip(edges, p99, strict=False) if edge + window <= outage.at]
    usual = float(np.median(before))
    late = [edge for edge, p in zip(edges, p99, strict=False) if p > 1.5 * usual]
    after = [edge for edge in late if edge + window > outage.at]
    if not after:
        return 0.0
    ends = max(after) + window
    return math.inf if ends >= edges[-1] else ends - outage.at
