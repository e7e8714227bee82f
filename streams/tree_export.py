"""A river Hoeffding adaptive tree as the nodes of a `TreeDocument`, and what such a tree foretells.

Of a branch only its two children are taken: the alternate subtree that river grows beside it counts
once it has replaced them (river's own ``predict_one`` mixes its votes in; a document has one path).
Weights are taken as they are, so the document says the same as the tree it was made from.
"""

from __future__ import annotations

from typing import Any

from river.tree import HoeffdingAdaptiveTreeClassifier

from schemas.errors import InvalidTree
from schemas.feature import FEATURE_INDEX
from schemas.fields import LABELS, TreeId
from schemas.tree import Branch, Leaf
from streams.majority_tree import MajorityBranch, MajorityLeaf
from streams.scoring import heaviest


def foretold(
    model: HoeffdingAdaptiveTreeClassifier, tree_id: TreeId, features: dict[str, float]
) -> str | None:
    """The label that the tree gives now; ``None`` before it has learned anything."""
    node: Any = model._root
    if node is None:
        return None
    weights: dict[str, float] = {}
    while type(node) is MajorityBranch:
        weights = _weights(node.stats, tree_id) or weights
        node = node.children[0 if features[node.feature] <= node.threshold else 1]
    return heaviest(_weights(node.stats, tree_id) or weights, tree_id)


def export_nodes(
    model: HoeffdingAdaptiveTreeClassifier, tree_id: TreeId
) -> tuple[Branch | Leaf, ...]:
    """The tree in preorder. A leaf without weights has those of the node above it.

    A rule id says what is asked and where it stands: ``recent_score<=0.52 @LR`` is the branch
    right of the one left of the root. So it stays the same while the rest of the tree changes.

    Raises:
        InvalidTree: nothing was learned yet, or a split is on something else than a feature.
    """
    if model._root is None:
        raise InvalidTree(f"{tree_id}: the tree has learned nothing yet")
    nodes: list[Branch | Leaf] = []
    _append(model._root, tree_id, "", {}, nodes)
    return tuple(nodes)


def _append(
    node: Any, tree_id: TreeId, place: str, above: dict[str, float], nodes: list[Branch | Leaf]
) -> None:
    weights = _weights(node.stats, tree_id) or above
    if type(node) is MajorityLeaf:
        rule_id = f"{heaviest(weights, tree_id)} @{place or 'root'}"
        nodes.append(Leaf(rule_id=rule_id, distribution=weights))
        return
    if type(node) is not MajorityBranch or node.feature not in FEATURE_INDEX:
        raise InvalidTree(f"{tree_id}: {type(node).__name__} is no split on a feature's number")
    at = len(nodes)
    branch = Branch(
        rule_id=f"{node.feature}<={node.threshold:.4g} @{place or 'root'}",
        feature=node.feature,
        threshold=node.threshold,
        left=at + 1,
        right=0,
    )
    nodes.append(branch)
    left, right = node.children
    _append(left, tree_id, place + "L", weights, nodes)
    nodes[at] = branch.model_copy(update={"right": len(nodes)})
    _append(right, tree_id, place + "R", weights, nodes)


def _weights(stats: dict[str, float], tree_id: TreeId) -> dict[str, float]:
    """The positive weights in the order of ``LABELS``."""
    return {
        label: weight for label in LABELS[tree_id] if (weight := float(stats.get(label, 0.0))) > 0
    }
