"""What the facilitator tells Prometheus: how decisions are delivered, and what becomes of them."""

from __future__ import annotations

from typing import get_args

from prometheus_client import Counter, Gauge, Histogram

from agents.facilitator import FacilitatorProgress
from agents.metrics import QUICK, WAITING, ProcessMetrics, dead_letters
from schemas.dead_letter import DeadLetterReason
from schemas.delivery import Delivery
from schemas.fields import TREE_IDS, ResponseStatus

_PASSED_OVER = ("ignored", "repeated", "replayed", "dead")
_GIVEN_UP = "not_acknowledged"
_COUNTED = (*_PASSED_OVER, _GIVEN_UP)
"""Of `streams.delivery.Round.counts`, what is not a status."""


class FacilitatorMetrics(ProcessMetrics):
    """Declares the facilitator's metrics, and takes what happened to each delivery."""

    def __init__(self) -> None:
        super().__init__("facilitator")
        registry = self.registry
        attempts = Counter(
            "learner_delivery_attempts_total",
            "Deliveries put on facilitator.decisions: for the first time, or again because nobody "
            "acknowledged.",
            ["tree_id", "attempt"],
            registry=registry,
        )
        statuses = Counter(
            "learner_deliveries_total",
            "Changes of a delivery's status: success and fail as acknowledged, timeout for each "
            "attempt that was not, superseded by a newer decision.",
            ["tree_id", "response_status"],
            registry=registry,
        )
        # Looked up once: two records of the log go by for every decision.
        self._first = {tree_id: attempts.labels(tree_id, "first") for tree_id in TREE_IDS}
        self._again = {tree_id: attempts.labels(tree_id, "again") for tree_id in TREE_IDS}
        self._statuses = {
            (tree_id, status): statuses.labels(tree_id, status)
            for tree_id in TREE_IDS
            for status in get_args(ResponseStatus)
            if status != "pending"
        }
        self._latency = Histogram(
            "learner_delivery_latency_seconds",
            "From when the learner did it (the event's own time) to the first delivery.",
            buckets=WAITING,
            registry=registry,
        )
        self._decision_latency = Histogram(
            "learner_delivery_decision_latency_seconds",
            "From when the decision was on Kafka to the first delivery.",
            buckets=WAITING,
            registry=registry,
        )
        self._acknowledgement = Histogram(
            "learner_delivery_acknowledgement_seconds",
            "From an attempt to its acknowledgement.",
            buckets=(*QUICK, 30.0, 60.0),
            registry=registry,
        )
        self._passed_over = Counter(
            "learner_delivery_records_passed_over_total",
            "Decisions and answers that changed nothing: ignored (an answer to nothing pending), "
            "repeated (a decision that is pending already), replayed (its offset was passed "
            "before) or dead (no decision or answer; a dead letter).",
            ["outcome"],
            registry=registry,
        )
        self._pending = Gauge(
            "learner_deliveries_pending",
            "Deliveries that nobody has answered for yet.",
            registry=registry,
        )
        self._owned = Gauge(
            "learner_delivery_partitions_owned",
            "Partitions of learner.decisions that this facilitator delivers.",
            registry=registry,
        )
        self._dead_letters = dead_letters(registry, [DeadLetterReason.NOT_ACKNOWLEDGED])
        self._before = FacilitatorProgress()
        self._count(self._before)

    def status(self, delivery: Delivery) -> None:
        """An ``on_status`` of `agents.facilitator.run_facilitator`."""
        tree_id, status = delivery.decision_tree_id, delivery.response_status
        if status != "pending":
            self._statuses[tree_id, status].inc()
        elif delivery.attempt == 1:
            self._first[tree_id].inc()
            self._latency.observe(delivery.latency_ms / 1000)
            self._decision_latency.observe(delivery.decision_latency_ms / 1000)
        else:
            self._again[tree_id].inc()
        if status in {"success", "fail"} and delivery.responded_at is not None:
            waited = delivery.responded_at - delivery.delivery_timestamp
            self._acknowledgement.observe(max(0.0, waited.total_seconds()))

    def progress(self, now: FacilitatorProgress) -> None:
        """An ``on_progress``: counts what was added since the last call."""
        self._count(now)
        self._pending.set(now.pending)
        self._owned.set(now.partitions)

    def _count(self, now: FacilitatorProgress) -> None:
        added = {name: now.counts[name] - self._before.counts[name] for name in _COUNTED}
        for outcome in _PASSED_OVER:
            self._passed_over.labels(outcome).inc(added[outcome])
        self._dead_letters.labels(DeadLetterReason.NOT_ACKNOWLEDGED).inc(added[_GIVEN_UP])
        self._before = now
