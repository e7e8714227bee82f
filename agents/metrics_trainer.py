"""What the trainer tells Prometheus, from its own account of itself, about once a second."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from agents.metrics import ProcessMetrics, tree_versions
from agents.trainer import TrainerProgress


class TrainerMetrics(ProcessMetrics):
    """`progress` is a ``on_progress`` of `agents.trainer.run_trainer`."""

    def __init__(self) -> None:
        super().__init__("trainer")
        registry = self.registry
        self._examples = Counter(
            "learner_examples_total",
            "Records of tree.examples: learned, or refused (not learnable).",
            ["outcome"],
            registry=registry,
        )
        self._versions = Counter(
            "learner_tree_versions_published_total",
            "Tree versions of the trainer's that came into force.",
            registry=registry,
        )
        self._behind = Gauge(
            "learner_examples_behind",
            "Lag: records of tree.examples that are not read yet.",
            registry=registry,
        )
        self._learned_from = Gauge(
            "learner_prequential_examples",
            "Examples that the accuracies span, over all starts.",
            ["tree_id"],
            registry=registry,
        )
        self._accuracy = Gauge(
            "learner_prequential_accuracy_ratio",
            "Share of examples foretold before they were learned: by the tree that learns "
            "(challenger), the versions that were in force (champion), the most common label "
            "(baseline).",
            ["tree_id", "model"],
            registry=registry,
        )
        self._faded = Gauge(
            "learner_faded_accuracy_ratio",
            "The same, older examples counting less: what decides about a new version.",
            ["tree_id", "model"],
            registry=registry,
        )
        self._tree_versions = tree_versions(registry)
        self._before = TrainerProgress(0, 0, 0, 0, {})
        self._count(self._before)

    def progress(self, now: TrainerProgress) -> None:
        """Counts what was added since the last call."""
        self._count(now)
        self._behind.set(now.behind)
        for tree_id, metrics in now.metrics.items():
            self._learned_from.labels(tree_id).set(metrics.examples)
            self._tree_versions.labels(tree_id).set(metrics.version)
            accuracies = {
                "challenger": metrics.prequential_accuracy,
                "champion": metrics.champion_accuracy,
                "baseline": metrics.baseline_accuracy,
            }
            for model, accuracy in accuracies.items():
                self._accuracy.labels(tree_id, model).set(accuracy)
            self._faded.labels(tree_id, "challenger").set(metrics.faded_accuracy)
            self._faded.labels(tree_id, "champion").set(metrics.champion_faded_accuracy)

    def _count(self, now: TrainerProgress) -> None:
        self._examples.labels("learned").inc(now.examples - self._before.examples)
        self._examples.labels("refused").inc(now.refused - self._before.refused)
        self._versions.inc(now.versions - self._before.versions)
        self._before = now
