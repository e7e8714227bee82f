"""`TreeDocument`: a decision tree as plain data, the form in which a tree decides.

One document is what the source calls thresholds. It is data, not code: safe to read from a topic,
scored by the same short loop everywhere, and kept for ever under (tree_id, version).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.contract import Contract
from schemas.feature import FEATURE_INDEX
from schemas.fields import LABELS, Count, Identifier, TreeId, UnitScore, UtcTime

MAX_NODES = 1023
MAX_DEPTH = 24


class _Contract(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Retraining(Contract):
    """How a version's nodes were learned. ``date`` is the time of the last example learned.

    A version that a person made of a learned one, edited, pinned or rolled back to, keeps it.
    """

    date: UtcTime
    changes_made: Annotated[tuple[str, ...], Field(max_length=200)]
    data_points_used: Count


class Evaluation(Contract):
    """Shares of ``examples`` foretold right by the version before and by this one, 0–1.

    This version learned from none of them; the one before may have.
    """

    examples: Count
    accuracy_before: UnitScore
    accuracy_after: UnitScore


class Branch(_Contract):
    """``feature <= threshold`` goes to node ``left``, otherwise to node ``right`` (indices)."""

    rule_id: Identifier
    feature: Identifier
    threshold: float
    left: Count
    right: Count


class Leaf(_Contract):
    """``distribution``: how many examples of each label ended here (weights, any scale > 0)."""

    rule_id: Identifier
    distribution: Annotated[dict[str, Annotated[float, Field(ge=0)]], Field(min_length=1)]


class TreeDocument(_Contract):
    """Nodes in order, the root first; a child always stands after its parent.

    ``author`` and ``reason`` say who made the version and why. Version 0 is written by hand.
    While a ``pinned`` version is in force, only a person replaces it, never the trainer.
    """

    tree_id: TreeId
    version: Count
    author: Identifier
    reason: Annotated[str, Field(max_length=1000)]
    created_at: UtcTime
    pinned: bool = False
    retraining_logs: Retraining | None = None
    evaluation: Evaluation | None = None
    nodes: Annotated[tuple[Branch | Leaf, ...], Field(min_length=1, max_length=MAX_NODES)]

    @model_validator(mode="after")
    def _decides_every_input(self) -> TreeDocument:
        depth = [0] * len(self.nodes)
        parents = [0] * len(self.nodes)
        if len({node.rule_id for node in self.nodes}) != len(self.nodes):
            raise ValueError("rule_id: each node needs its own")
        for i, node in enumerate(self.nodes):
            if isinstance(node, Leaf):
                unknown = set(node.distribution) - set(LABELS[self.tree_id])
                if unknown:
                    raise ValueError(f"node {i}: {sorted(unknown)} are no labels of {self.tree_id}")
                if not any(node.distribution.values()):
                    raise ValueError(f"node {i}: the distribution is empty")
                continue
            if node.feature not in FEATURE_INDEX:
                raise ValueError(f"node {i}: {node.feature!r} is no feature")
            for child in (node.left, node.right):
                if not i < child < len(self.nodes):
                    raise ValueError(f"node {i}: child {child} must stand after it")
                parents[child] += 1
                depth[child] = depth[i] + 1
        if any(count != 1 for count in parents[1:]):
            raise ValueError("each node but the root needs exactly one parent")
        if max(depth) > MAX_DEPTH:
            raise ValueError(f"deeper than {MAX_DEPTH}")
        return self
