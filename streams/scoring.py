"""A tree document made ready, and one learner's features sent down it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from schemas.decision import Condition
from schemas.feature import FEATURE_INDEX
from schemas.fields import LABELS, TreeId
from schemas.tree import Leaf, TreeDocument
from streams.wording import Asked, sentence_template


class Asking(NamedTuple):
    """A `Condition` of a path, with the place of its feature instead of a learner's value."""

    rule_id: str
    feature: str
    place: int
    operator: Literal["<=", ">"]
    threshold: float


@dataclass(frozen=True, slots=True)
class Score:
    """What one leaf says; made once per leaf, so it is shared and never edited.

    ``distribution``: share of each label with any weight, sums to 1, in the order of ``LABELS``.
    ``label``: the heaviest, the first of ``LABELS`` among equals. ``rule_ids``: root to leaf.
    ``template``, ``slots``: the `sentence` without its figures, and the features of these.
    """

    label: str
    distribution: dict[str, float]
    rule_ids: tuple[str, ...]
    conditions: tuple[Asking, ...]
    template: str
    slots: tuple[int, ...]

    def path(self, features: tuple[float, ...]) -> tuple[Condition, ...]:
        """The conditions on the way here, with the learner's values."""
        return tuple(
            [
                Condition(rule_id, feature, features[place], operator, threshold)
                for rule_id, feature, place, operator, threshold in self.conditions
            ]
        )

    def sentence(self, features: tuple[float, ...]) -> str:
        """Why it was decided so, with the learner's values: a prompt's ``{because}``."""
        return self.template % tuple([features[place] for place in self.slots])


Node: TypeAlias = "tuple[int, float, Node, Node] | Score"
"""(place of the feature, threshold, at most it, above it), or a leaf."""


@dataclass(frozen=True, slots=True)
class CompiledTree:
    """A document ready to score with."""

    document: TreeDocument
    root: Node


def compile_tree(document: TreeDocument) -> CompiledTree:
    """Works out everything that a leaf says, so that scoring only has to find the leaf."""
    return CompiledTree(document, _compile(document, 0, (), ()))


def compile_trees(documents: Mapping[TreeId, TreeDocument]) -> dict[TreeId, CompiledTree]:
    """Each of them, by the same id."""
    return {tree_id: compile_tree(document) for tree_id, document in documents.items()}


def score(tree: CompiledTree, features: tuple[float, ...]) -> Score:
    """The leaf for features in the order of ``FEATURES``. They must be finite."""
    node = tree.root
    while not isinstance(node, Score):
        feature, threshold, below, above = node
        node = below if features[feature] <= threshold else above
    return node


def heaviest(distribution: Mapping[str, float], tree_id: TreeId) -> str:
    """The label of a leaf: that of the largest weight, the first of ``LABELS`` among equals.

    Weights, not shares: two of them may round to one share.
    """
    return max(
        (label for label in LABELS[tree_id] if label in distribution), key=distribution.__getitem__
    )


def _compile(
    document: TreeDocument, at: int, rule_ids: tuple[str, ...], path: tuple[Asking, ...]
) -> Node:
    node = document.nodes[at]
    rule_ids = (*rule_ids, node.rule_id)
    if isinstance(node, Leaf):
        return _leaf(document, node, rule_ids, path)
    place = FEATURE_INDEX[node.feature]
    below = Asking(node.rule_id, node.feature, place, "<=", node.threshold)
    above = below._replace(operator=">")
    return (
        place,
        node.threshold,
        _compile(document, node.left, rule_ids, (*path, below)),
        _compile(document, node.right, rule_ids, (*path, above)),
    )


def _leaf(
    document: TreeDocument, leaf: Leaf, rule_ids: tuple[str, ...], path: tuple[Asking, ...]
) -> Score:
    distribution = _shares(document, leaf)
    label = heaviest(leaf.distribution, document.tree_id)
    asked = [Asked(a.feature, a.operator, a.threshold) for a in path]
    template, features = sentence_template(
        document.tree_id, label, distribution[label], document.version, asked
    )
    slots = tuple([FEATURE_INDEX[feature] for feature in features])
    return Score(label, distribution, rule_ids, path, template, slots)


def _shares(document: TreeDocument, leaf: Leaf) -> dict[str, float]:
    weights = {
        label: leaf.distribution[label]
        for label in LABELS[document.tree_id]
        if leaf.distribution.get(label)
    }
    if sum(weights.values()) == float("inf"):
        largest = max(weights.values())
        weights = {label: weight / largest for label, weight in weights.items()}
    total = sum(weights.values())
    return {label: weight / total for label, weight in weights.items()}
