"""What a worker tells Prometheus. Updated once for each batch, never for each event."""

from __future__ import annotations

import math
import time
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from functools import partial

from prometheus_client import Counter, Gauge, Histogram

from agents.faust_mends import RecordList
from agents.metrics import QUICK, ProcessMetrics, WaitHistogram, dead_letters, tree_versions
from schemas.dead_letter import DeadLetterReason
from schemas.fields import LABELS, TREE_IDS, TreeId
from streams.batch import Batch
from streams.step import Trees

OUTCOMES = ("folded", "repeated", "replayed", "dead")
"""What `streams.batch.Batch` counts each record as."""
NOT_OURS = {DeadLetterReason.STORE_REFUSED, DeadLetterReason.NOT_ACKNOWLEDGED}
"""Reasons that only sinks and the facilitator have."""


class WorkerMetrics(ProcessMetrics):
    """Declares the worker's metrics, and takes what happened."""

    def __init__(self) -> None:
        super().__init__("worker")
        registry = self.registry
        self._events = Counter(
            "learner_events_total",
            "Records of learner.events, each once: folded, repeated (a producer sent it before), "
            "replayed (its offset was folded before) or dead (a dead letter).",
            ["outcome"],
            registry=registry,
        )
        for outcome in OUTCOMES:
            self._events.labels(outcome)
        self._dead_letters = dead_letters(
            registry, [reason for reason in DeadLetterReason if reason not in NOT_OURS]
        )
        self._decisions = Counter(
            "learner_decisions_total",
            "Decisions sent to learner.decisions.",
            ["tree_id", "decision_label"],
            registry=registry,
        )
        for tree_id, labels in LABELS.items():
            for label in labels:
                self._decisions.labels(tree_id, label)
        self._execution = Histogram(
            "learner_decision_execution_seconds",
            "From taking up a batch of events to the commit of its decisions; once a batch.",
            buckets=QUICK,
            registry=registry,
        )
        self._transaction = Histogram(
            "learner_transaction_seconds",
            "The part of it that Kafka takes: sending and committing one transaction.",
            buckets=QUICK,
            registry=registry,
        )
        self._batch_events = Histogram(
            "learner_batch_events",
            "Events in one batch, which is one transaction.",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000),
            registry=registry,
        )
        self._latency = WaitHistogram(
            "learner_decision_latency_seconds",
            "From an event's Kafka timestamp to the commit of what was decided; once an event.",
            registry,
        )
        self._behind = Gauge(
            "learner_events_behind",
            "Lag: committed events of a partition that are not folded yet, as of the last fetch.",
            ["partition"],
            registry=registry,
        )
        self._owned = Gauge(
            "learner_partitions_owned",
            "Partitions of learner.events that this worker reads.",
            registry=registry,
        )
        self._partitions = Gauge(
            "learner_partitions", "Partitions that learner.events has.", registry=registry
        )
        self._restore = Histogram(
            "learner_restore_seconds",
            "Reading a partition's tables back from their changelogs when it is taken over.",
            buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
            registry=registry,
        )
        self._tree_versions = tree_versions(registry)

    def started(self, partitions: int, trees: Callable[[], Trees]) -> None:
        """``learner.events`` has so many partitions; ``trees``: in force now, asked each time."""
        self._partitions.set(partitions)

        def version(tree_id: TreeId) -> float:
            return trees()[tree_id].document.version

        for tree_id in TREE_IDS:
            self._tree_versions.labels(tree_id).set_function(partial(version, tree_id))

    def taken_over(
        self, partition: int, restore_seconds: float, behind: Callable[[], int | None]
    ) -> None:
        """``behind`` is asked whenever Prometheus asks, from another thread; None: not known."""

        def asked() -> float:
            known = behind()
            return math.nan if known is None else known

        self._behind.labels(str(partition)).set_function(asked)
        self._restore.observe(restore_seconds)
        self._owned.inc()

    def given_up(self, partition: int) -> None:
        self._behind.remove(str(partition))
        self._owned.dec()

    def committed(
        self, lists: Sequence[RecordList], batch: Batch, seconds: float, transaction_seconds: float
    ) -> None:
        """A batch whose transaction is through; ``seconds`` it took, the transaction included."""
        for outcome, count in batch.counts.items():
            self._events.labels(outcome).inc(count)
        self._batch_events.observe(batch.counts.total())
        self._execution.observe(seconds)
        self._transaction.observe(transaction_seconds)
        decided = Tally([(made.tree_id, made.decision_label) for made in batch.decisions])
        for (tree_id, label), count in decided.items():
            self._decisions.labels(tree_id, label).inc(count)
        for reason, count in Tally([letter.reason for letter in batch.dead_letters]).items():
            self._dead_letters.labels(reason).inc(count)
        began = [record.timestamp for fetched in lists for record in fetched.records]
        self._latency.observe(began, time.time_ns() // 1_000_000)
