"""What sinks tell Prometheus: one process may run several, so everything is by store."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

from agents.metrics import QUICK, ProcessMetrics

_WRITES = (*QUICK, 30.0, 60.0)


class SinkMetrics(ProcessMetrics):
    """``stores``: the names of the sinks that this process runs."""

    def __init__(self, stores: Iterable[str] = ()) -> None:
        super().__init__("sink")
        registry = self.registry
        self._written = Counter(
            "learner_sink_written_records_total",
            "Records that the store has taken; of a batch that came again, again.",
            ["store"],
            registry=registry,
        )
        self._refused = Counter(
            "learner_sink_refused_records_total",
            "Records that the store takes in no batch, or that are not what their topic holds; "
            "each is a dead letter, unless it is one already.",
            ["store"],
            registry=registry,
        )
        self._behind = Gauge(
            "learner_sink_records_behind",
            "Lag: committed records on Kafka that the store does not have yet.",
            ["store"],
            registry=registry,
        )
        self._away = Gauge(
            "learner_sink_store_away",
            "Whether the store does not answer now: 1, else 0.",
            ["store"],
            registry=registry,
        )
        self._write_seconds = Histogram(
            "learner_sink_write_seconds",
            "One write of a batch, or of a part of one, that the store has taken.",
            ["store"],
            buckets=_WRITES,
            registry=registry,
        )
        for store in stores:
            for metric in (self._written, self._refused, self._behind, self._away):
                metric.labels(store)
            self._write_seconds.labels(store)

    def written(self, store: str, records: int, seconds: float) -> None:
        self._written.labels(store).inc(records)
        self._write_seconds.labels(store).observe(seconds)

    def refused(self, store: str) -> None:
        """One record."""
        self._refused.labels(store).inc()

    def behind(self, store: str, records: int) -> None:
        self._behind.labels(store).set(records)

    def away(self, store: str, *, away: bool) -> None:
        self._away.labels(store).set(away)
