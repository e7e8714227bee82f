"""Labelled examples whose meaning changes now and then, the same for the same seed."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from schemas.example import TreeExample
from schemas.feature import FEATURES
from schemas.fields import LABELS, TreeId
from schemas.tree import Leaf, TreeDocument

_START = datetime(2026, 1, 1, tzinfo=UTC)


def guess_one_label(tree_id: TreeId = "primary_classification") -> TreeDocument:
    """Version 0 for tests: always the first label."""
    return TreeDocument(
        tree_id=tree_id,
        version=0,
        author="test",
        reason="always the first label",
        created_at=_START,
        nodes=(Leaf(rule_id="all", distribution={LABELS[tree_id][0]: 1.0}),),
    )


def drifting(
    count: int,
    *,
    drift_every: int,
    seed: int = 1,
    noise: float = 0.05,
    tree_id: TreeId = "primary_classification",
) -> Iterator[TreeExample]:
    """Four labels told by two features; at each drift two other features tell them."""
    rng = random.Random(seed)
    labels = LABELS[tree_id][:4]
    for number in range(count):
        features = {f.name: round(rng.uniform(f.low, min(f.high, 50)), 3) for f in FEATURES}
        first = (number // drift_every * 2 + 1) % len(FEATURES)
        second = (first + 3) % len(FEATURES)
        label = labels[_upper(features, first) + 2 * _upper(features, second)]
        if rng.random() < noise:
            label = rng.choice(labels)
        yield TreeExample(
            example_id=str(uuid.UUID(int=seed << 64 | number)),
            tree_id=tree_id,
            user_id=str(uuid.UUID(int=number % 20)),
            course_id="c",
            decided_at=_START + timedelta(minutes=number),
            labelled_at=_START + timedelta(minutes=number + 60),
            features=features,
            label=label,
            labelled_by="next_attempts",
        )


def _upper(features: dict[str, float], index: int) -> int:
    feature = FEATURES[index]
    return features[feature.name] > (feature.low + min(feature.high, 50)) / 2
