"""What the metrics of every process have in common: a registry of their own, bounds, buckets.

The metrics themselves are declared in the files beside this one, one for each kind of process
(``metrics_worker.py`` …); `agents.metrics_server` serves them. Units are in the names, as
Prometheus has them; no label holds an id of a learner, session, decision or event.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from threading import Lock

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Info,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily

from schemas.dead_letter import DeadLetterReason

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody reads

OTHER = "other"

QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets, in seconds, of what takes milliseconds: a request, a transaction, a message."""
WAITING = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Buckets, in seconds, of ways on which something may have to wait for a process that is away."""


class ProcessMetrics:
    """The registry of one process; ``command`` is the word of the command line that started it."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        build = Info(
            "learner_build",
            "Version of learner-stream, and the command that this process runs.",
            registry=self.registry,
        )
        build.info({"version": _version(), "command": command})

    def text(self) -> tuple[bytes, str]:
        """Everything as Prometheus reads it, and its content type: what ``/metrics`` answers."""
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4


class FewValues:
    """Keeps a label bounded whose values come from elsewhere: after ``most``, ``other``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = {OTHER}

    def __call__(self, value: str) -> str:
        """The value itself as long as there is room for it; an empty one is ``other`` too."""
        if value in self._known:
            return value
        if not value or len(self._known) > self._most:
            return OTHER
        self._known.add(value)
        return value


class WaitHistogram:
    """How long records have waited, in seconds: a whole list of them observed in one go.

    prometheus_client's own histogram takes one value at a time, which costs more than the rest of
    what is counted for a batch.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        registry: CollectorRegistry,
        buckets: Sequence[float] = WAITING,
    ) -> None:
        self._name, self._documentation = name, documentation
        self._buckets = tuple(buckets)
        self._counts = [0] * (len(self._buckets) + 1)
        self._sum = 0.0
        self._lock = Lock()
        registry.register(self)

    def observe(self, since: Iterable[int], now: int) -> None:
        """Records that have waited from ``since`` to ``now``, in milliseconds of one clock; what
        began later than ``now``, by another clock, has not waited."""
        began = sorted(since)
        ahead = bisect_right(began, now)
        began[ahead:] = [now] * (len(began) - ahead)
        within = [len(began) - bisect_left(began, now - edge * 1000) for edge in self._buckets]
        with self._lock:
            for number, count in enumerate((*within, len(began))):
                self._counts[number] += count
            self._sum += (now * len(began) - sum(began)) / 1000

    def describe(self) -> Iterable[Metric]:
        return [HistogramMetricFamily(self._name, self._documentation)]

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            counts, total = list(self._counts), self._sum
        edges = [*map(str, self._buckets), "+Inf"]
        buckets = list(zip(edges, map(float, counts), strict=True))
        return [HistogramMetricFamily(self._name, self._documentation, buckets, total)]


def dead_letters(registry: CollectorRegistry, reasons: Iterable[DeadLetterReason]) -> Counter:
    """One name in every process that writes dead letters; each has its own ``reasons``."""
    counter = Counter(
        "learner_dead_letters_total",
        "Records written to learner.dlq, by reason.",
        ["reason"],
        registry=registry,
    )
    for reason in reasons:
        counter.labels(reason)
    return counter


def tree_versions(registry: CollectorRegistry) -> Gauge:
    """Which version of each tree a process holds to be in force."""
    return Gauge(
        "learner_tree_version",
        "Version of the tree that is in force here.",
        ["tree_id"],
        registry=registry,
    )


def _version() -> str:
    try:
        return version("learner-stream")
    except PackageNotFoundError:
        return "unknown"
