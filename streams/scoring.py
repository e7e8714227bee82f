"""A tree document made ready, and one learner's features sent down it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from schemas.decision import Condition
from schemas.feature import FEATURE_INDEX
from schemas.fields import LABELS
from schemas.tree import Branch, Leaf, TreeDocument
from streams.wording import Asked, sentence_template


class Asking(NamedTuple):
    """One condition of a path: ``condition.value`` is 0 here, ``place`` says where it stands."""

    condition: Condition
    place: int


@dataclass(frozen=True, slots=True)
class Score:
    """What one leaf says; made once per leaf, so it is shared and never edited.

    ``distribution``: share of each label with any weight, sums to 1, in the order of ``LABELS``.
    ``label``: the largest share, the first of ``LABELS`` among equals. ``rule_ids``: root to leaf.
    ``template``, ``slots``: ``llm_prompt_output`` without its figures, and the features of these.
    """

    label: str
    distribution: dict[str, float]
    rule_ids: tuple[str, ...]
    conditions: tuple[Asking, ...]
    template: str
    slots: tuple[int, ...]


Node: TypeAlias = "tuple[int, float, Node, Node] | Score"
"""(index of the feature, threshold, at most it, above it), or a leaf."""


@dataclass(frozen=True, slots=True)
class CompiledTree:
    """A document ready to score with."""

    document: TreeDocument
    root: Node


def compile_tree(document: TreeDocument) -> CompiledTree:
    """Works out everything that a leaf says, so that scoring only has to find the leaf."""
    return CompiledTree(document, _compile(document, 0, (), ()))


def score(tree: CompiledTree, features: tuple[float, ...]) -> Score:
    """The leaf for features in the order of ``FEATURES``. They must be finite."""
    node = tree.root
    while not isinstance(node, Score):
        feature, threshold, below, above = node
        node = below if features[feature] <= threshold else above
    return node


def _compile(
    document: TreeDocument, at: int, rule_ids: tuple[str, ...], path: tuple[Asking, ...]
) -> Node:
    node = document.nodes[at]
    rule_ids = (*rule_ids, node.rule_id)
    if isinstance(node, Leaf):
        return _leaf(document, node, rule_ids, path)
    index = FEATURE_INDEX[node.feature]
    return (
        index,
        node.threshold,
        _compile(document, node.left, rule_ids, (*path, _asking(node, index, below=True))),
        _compile(document, node.right, rule_ids, (*path, _asking(node, index, below=False))),
    )


def _asking(node: Branch, index: int, *, below: bool) -> Asking:
    operator = "<=" if below else ">"
    return Asking(Condition(node.rule_id, node.feature, 0.0, operator, node.threshold), index)  # type: ignore[arg-type]


def _leaf(
    document: TreeDocument, leaf: Leaf, rule_ids: tuple[str, ...], path: tuple[Asking, ...]
) -> Score:
    distribution = _shares(document, leaf)
    label = max(distribution, key=distribution.__getitem__)
    asked = [Asked(c.feature, c.operator, c.threshold) for c, _ in path]
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
