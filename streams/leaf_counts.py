"""A tree's leaves with the examples that end in them counted anew, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from schemas.feature import FEATURE_INDEX
from schemas.fields import LABELS, TreeId
from schemas.tree import Branch, Leaf
from streams.scoring import heaviest

Nodes = tuple[Branch | Leaf, ...]


def counted(
    nodes: Nodes, tree_id: TreeId, examples: Iterable[tuple[tuple[float, ...], str]]
) -> Nodes:
    """The same rules, each leaf with the labels of the examples (features, label) that it decides.

    A tree that has learned in several passes weighs an example once per pass, and only since the
    leaf was made; so it says neither how many there were nor their true shares. A leaf where none
    ends has the counts of the node above it. A leaf's id tells the label, and is made anew.
    """
    counts = [Counter[str]() for _ in nodes]
    for features, label in examples:
        for at in _way(nodes, features):
            counts[at][label] += 1
    after = list(nodes)
    for at, node in enumerate(nodes):
        if isinstance(node, Branch):
            # Parents stand before their children, so an empty one already has its own parent's.
            for child in (node.left, node.right):
                counts[child] = counts[child] or counts[at]
            continue
        weights = {label: float(n) for label in LABELS[tree_id] if (n := counts[at][label])}
        place = node.rule_id.rpartition("@")[2]
        rule_id = f"{heaviest(weights, tree_id)} @{place}"
        after[at] = Leaf(rule_id=rule_id, distribution=weights)
    return tuple(after)


def _way(nodes: Nodes, features: tuple[float, ...]) -> Iterator[int]:
    at = 0
    while isinstance(node := nodes[at], Branch):
        yield at
        at = node.left if features[FEATURE_INDEX[node.feature]] <= node.threshold else node.right
    yield at
