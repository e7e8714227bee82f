"""river's Hoeffding adaptive tree (Bifet & Gavaldà 2009), for majority-class leaves over numbers.

It grows the same tree, number by number, as ``HoeffdingAdaptiveTreeClassifier`` does with
``leaf_prediction="mc"`` and without bootstrap. Left out is what river does for other options: a
naive Bayes judgement of each example, deep copies of each distribution, a random generator in each
distribution, features that are missing or no numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from river.base import DriftDetector
from river.proba import Gaussian
from river.stats import Mean, Var
from river.tree import HoeffdingAdaptiveTreeClassifier
from river.tree.nodes.hatc_nodes import AdaNumBinaryBranchClass
from river.tree.nodes.htc_nodes import LeafMajorityClass
from river.tree.split_criterion import InfoGainSplitCriterion
from river.tree.splitter import GaussianSplitter
from river.tree.utils import BranchFactory
from river.utils.math import norm_cdf

_NEVER_DRAWN = Gaussian(seed=0)._rng
"""One for all: each would have 2.5 kB."""


class MajorityTree(HoeffdingAdaptiveTreeClassifier):
    """Of `MajorityBranch` and `MajorityLeaf`; give it a `FeatureSplitter`."""

    def _branch_selector(
        self, numerical_feature: bool = True, multiway_split: bool = False
    ) -> type[MajorityBranch]:
        return MajorityBranch

    def _new_split_criterion(self) -> InformationGain:
        return InformationGain(self.min_branch_fraction)

    def _new_leaf(self, initial_stats: Any = None, parent: Any = None) -> MajorityLeaf:
        return MajorityLeaf(
            {} if initial_stats is None else initial_stats,
            0 if parent is None else parent.depth + 1,
            self.splitter,
            self.drift_detector.clone(),
        )


class MajorityBranch(AdaNumBinaryBranchClass):
    """river's, whose way down is a loop."""

    def walk(self, x: dict[str, float], until_leaf: bool = True) -> Iterator[Any]:
        """The nodes from here to the leaf of ``x``."""
        node: Any = self
        while type(node) is MajorityBranch:
            yield node
            node = node.children[0 if x[node.feature] <= node.threshold else 1]
        yield node


class MajorityLeaf(LeafMajorityClass):
    """`AdaLeafClassifier` of river, as it learns and foretells with majority classes."""

    def __init__(
        self, stats: dict[str, float], depth: int, splitter: Any, drift_detector: DriftDetector
    ) -> None:
        super().__init__(stats, depth, splitter)
        self.drift_detector = drift_detector
        self._mean_error = Mean()

    def kill_tree_children(self, tree: Any) -> None:
        """It has none."""

    def learn_one(  # noqa: PLR0913  # river's
        self,
        x: dict[str, float],
        y: str,
        *,
        w: float = 1.0,
        tree: Any = None,
        parent: Any = None,
        parent_branch: Any = None,
    ) -> None:
        """Judges itself by the example, takes it in, and looks for a split when it is due."""
        wrong = 0 if self.stats and max(self.stats, key=self.stats.__getitem__) == y else 1
        error_before = self._mean_error.get()
        self.drift_detector.update(wrong)
        self._mean_error.update(wrong)
        if self.drift_detector.drift_detected and error_before > self._mean_error.get():
            self._mean_error = self._mean_error.clone()
        super().learn_one(x, y, w=w, tree=tree)
        seen = self.total_weight
        if seen - self.last_split_attempt_at < tree.grace_period:
            return
        if self.depth >= tree.max_depth:
            self.deactivate()
            tree._n_inactive_leaves += 1
            tree._n_active_leaves -= 1
        elif self.is_active():
            detector = tree.drift_detector.clone()
            tree._attempt_to_split(self, parent, parent_branch, drift_detector=detector)
            self.last_split_attempt_at = seen

    def update_splitters(
        self, x: dict[str, float], y: str, w: float, nominal_attributes: object
    ) -> None:
        """Each feature's distribution among the examples of label ``y`` takes its value."""
        splitters = self.splitters
        for name, value in x.items():
            if name not in splitters:
                splitters[name] = self.splitter.clone()
            splitters[name].update(value, y, w)

    def prediction(self, x: Any, *, tree: Any = None) -> dict[str, float]:
        """Shares of the labels, the larger the fewer errors the leaf has made of late."""
        total = sum(self.stats.values())
        if not total:
            return {}
        shares = {label: weight / total for label, weight in self.stats.items()}
        error = self._mean_error.get()
        weight = sum(shares.values()) * error * error
        return {label: share / weight for label, share in shares.items()} if weight else shares


class FeatureSplitter(GaussianSplitter):
    """river's, made quicker: a leaf has one for each feature, with a distribution a label."""

    def clone(
        self, new_params: dict[str, Any] | None = None, include_attributes: bool = False
    ) -> FeatureSplitter:
        """An empty one."""
        return FeatureSplitter(self.n_splits)

    def update(self, att_val: Any, target_val: Any, w: float) -> None:
        gaussian = self._att_dist_per_class.get(target_val)
        if gaussian is None:
            gaussian = self._att_dist_per_class[target_val] = distribution(Var(ddof=1))
            self._min_per_class[target_val] = self._max_per_class[target_val] = att_val
        elif att_val < self._min_per_class[target_val]:
            self._min_per_class[target_val] = att_val
        elif att_val > self._max_per_class[target_val]:
            self._max_per_class[target_val] = att_val
        gaussian._var.update(att_val, w)

    def best_evaluated_split_suggestion(
        self, criterion: Any, pre_split_dist: Any, att_idx: Any, binary_only: bool
    ) -> BranchFactory:
        """The best of the points tried; each label's mean and deviation are taken once for all."""
        labels = [
            (
                label,
                self._min_per_class[label],
                self._max_per_class[label],
                gaussian.n_samples,
                gaussian.mu,
                gaussian.sigma,
            )
            for label, gaussian in self._att_dist_per_class.items()
        ]
        best = BranchFactory()
        for at in self._split_point_suggestions():
            left, right = {}, {}
            for label, low, high, count, mean, deviation in labels:
                if at < low:
                    right[label] = count
                elif at >= high:
                    left[label] = count
                else:
                    below = norm_cdf((at - mean) / deviation) * count if deviation else 0.0
                    left[label] = below
                    right[label] = count - below
            merit = criterion.merit_of_split(pre_split_dist, [left, right])
            if merit > best.merit:
                best = BranchFactory(merit, att_idx, at, [left, right])
        return best


class InformationGain(InfoGainSplitCriterion):
    """river's, for one attempt to split one leaf: what holds for all of its splits is taken once.

    Entropy in bits, of the labels' weights (Quinlan 1986).
    """

    def __init__(self, min_branch_fraction: float) -> None:
        super().__init__(min_branch_fraction)
        self._before: float | None = None

    def merit_of_split(
        self, pre_split_dist: dict[str, float], post_split_dist: list[dict[str, float]]
    ) -> float:
        left, right = post_split_dist
        of_left, of_right = sum(left.values()), sum(right.values())
        total = of_left + of_right
        if not total or min(of_left, of_right) / total <= self.min_branch_fraction:
            return -math.inf
        if self._before is None:
            self._before = entropy(pre_split_dist)
        return self._before - (of_left * entropy(left) + of_right * entropy(right)) / total


def entropy(weights: dict[str, float]) -> float:
    """Of a distribution by label, bits."""
    inner = total = 0.0
    for weight in weights.values():
        if weight > 0.0:
            inner -= weight * math.log2(weight)
            total += weight
    return (inner + total * math.log2(total)) / total if total else 0.0


def distribution(variance: Var) -> Gaussian:
    """With that mean and variance."""
    gaussian = Gaussian.__new__(Gaussian)  # its own way makes a generator, and seeds it
    gaussian.seed, gaussian._rng = None, _NEVER_DRAWN
    gaussian._var = variance
    return gaussian
