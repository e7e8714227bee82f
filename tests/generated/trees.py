"""Hypothesis strategies: any tree document, any features in their ranges."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from schemas.feature import FEATURES, Feature
from schemas.fields import LABELS, TREE_IDS, TreeId
from schemas.tree import Branch, Leaf, Retraining, TreeDocument

WHEN = datetime(2026, 1, 31, 9, tzinfo=UTC)


def feature_values() -> st.SearchStrategy[tuple[float, ...]]:
    """A value for each feature; bounds and round numbers come often, so thresholds are met."""
    return st.tuples(*(_value(feature) for feature in FEATURES))


def _value(feature: Feature) -> st.SearchStrategy[float]:
    low, high = float(feature.low), float(feature.high)
    round_ones = [value for value in (low, high, 0.0, 0.5, 1.0) if low <= value <= high]
    return st.floats(low, high) | st.sampled_from(round_ones)


@st.composite
def tree_documents(draw: st.DrawFn, max_branches: int = 12) -> TreeDocument:
    """Any shape from a single leaf on; thresholds need not be sensible."""
    tree_id = draw(st.sampled_from(TREE_IDS))
    children: list[list[int]] = [[]]
    leaves = [0]
    for _ in range(draw(st.integers(0, max_branches))):
        parent = leaves.pop(draw(st.integers(0, len(leaves) - 1)))
        for _side in "lr":
            children[parent].append(len(children))
            leaves.append(len(children))
            children.append([])
    nodes = [_node(draw, tree_id, i, below) for i, below in enumerate(children)]
    retraining = st.builds(
        Retraining,
        date=st.just(WHEN),
        changes_made=st.just(("split on recent_score",)),
        data_points_used=st.integers(0, 10_000),
    )
    return TreeDocument(
        tree_id=tree_id,
        version=draw(st.integers(0, 500)),
        author="hypothesis",
        reason="any",
        created_at=WHEN,
        retraining_logs=draw(st.none() | retraining),
        nodes=tuple(nodes),
    )


def _node(draw: st.DrawFn, tree_id: TreeId, i: int, below: list[int]) -> Branch | Leaf:
    if below:
        feature = draw(st.sampled_from(FEATURES))
        threshold: Any = st.floats(feature.low, feature.high) | st.sampled_from([0.0, 0.5, 1.0])
        return Branch(
            rule_id=f"asks-{i}",
            feature=feature.name,
            threshold=draw(threshold),
            left=below[0],
            right=below[1],
        )
    weights = st.dictionaries(
        st.sampled_from(LABELS[tree_id]),
        st.integers(0, 9) | st.floats(0, 1e308),
        min_size=1,
    ).filter(lambda given: any(given.values()))
    return Leaf(rule_id=f"says-{i}", distribution=draw(weights))
