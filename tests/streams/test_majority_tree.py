"""`MajorityTree` is river's own tree, number by number, as it is without the options left out."""

from __future__ import annotations

from typing import Any

import pytest
from example_streams.drifting import drifting
from hypothesis import given, settings
from hypothesis import strategies as st
from river.tree import HoeffdingAdaptiveTreeClassifier
from river.tree.nodes.branch import DTBranch

from streams.majority_tree import FeatureSplitter, MajorityTree

OPTIONS: dict[str, Any] = {
    "grace_period": 30,
    "delta": 0.05,
    "tau": 0.3,
    "max_depth": 4,
    "leaf_prediction": "mc",
    "bootstrap_sampling": False,
    "drift_window_threshold": 50,
    "switch_significance": 0.5,
    "seed": 7,
}
COUNTERS = ("n_active_leaves", "n_inactive_leaves", "n_alternate_trees", "n_nodes", "height")


def pair() -> tuple[Any, Any]:
    """Ours, and river's."""
    ours = MajorityTree(splitter=FeatureSplitter(), **OPTIONS)
    return ours, HoeffdingAdaptiveTreeClassifier(**OPTIONS)


def numbers(node: Any) -> Any:
    """All that a node has learned, and those below it."""
    if node is None:
        return None
    learned = [
        node.stats,
        node.depth,
        (node._mean_error.n, node._mean_error.get()),
        node.drift_detector._helper.__getstate__(),
    ]
    if isinstance(node, DTBranch):
        below = [*node.children, node._alternate_tree]  # type: ignore[attr-defined]
        return [*learned, node.feature, node.threshold, [numbers(one) for one in below]]  # type: ignore[attr-defined]
    splitters = node.splitters or {}
    return [
        *learned,
        node.splitters is None,
        node.last_split_attempt_at,
        {name: observed(splitter) for name, splitter in splitters.items()},
    ]


def observed(splitter: Any) -> Any:
    low, high = splitter._min_per_class, splitter._max_per_class
    return {
        label: (low[label], high[label], gaussian.n_samples, gaussian.mu, gaussian.sigma)
        for label, gaussian in splitter._att_dist_per_class.items()
    }


@settings(deadline=None, max_examples=10)
@given(count=st.integers(1, 1_500), drift_every=st.integers(50, 1_000), seed=st.integers(0, 1_000))
def test_it_grows_as_rivers_does(count: int, drift_every: int, seed: int) -> None:
    ours, rivers = pair()
    for example in drifting(count, drift_every=drift_every, seed=seed):
        # river adds the shares up in the order of a set: the last bit may differ.
        shares = pytest.approx(rivers.predict_proba_one(example.features), rel=1e-12)
        assert ours.predict_proba_one(example.features) == shares
        for tree in (ours, rivers):
            tree.learn_one(example.features, example.label)
    assert numbers(ours._root) == numbers(rivers._root)


def test_with_branches_replaced_and_leaves_closed_it_still_does() -> None:
    ours, rivers = pair()
    for example in drifting(4_000, drift_every=1_500, seed=1):
        for tree in (ours, rivers):
            tree.learn_one(example.features, example.label)
    assert numbers(ours._root) == numbers(rivers._root)
    assert rivers.n_switch_alternate_trees > 0
    assert rivers.n_inactive_leaves > 0
    for counter in COUNTERS:
        assert getattr(ours, counter) == getattr(rivers, counter), counter
