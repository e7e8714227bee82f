"""A river Hoeffding adaptive tree as plain data: what a snapshot holds of the model.

Only what learning changes is here; what the model was made with comes from the settings. Weights
are numbers of examples, errors are 0–1. Numbers are kept exactly, so a tree that was read back
learns on as if it had never stopped.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.fields import Count, Integer

# For msgspec alone: nobody else writes these, and no number in JSON is infinite.
Weight = Annotated[float, Meta(ge=0)]
MAX_BUCKET_ROWS = 64


class Numbers(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Written without names: there are thousands of them."""


class MeanState(Numbers, frozen=True):
    """``river.stats.Mean``: the errors of a node since they were last reset."""

    n: Weight
    mean: float


class ClassValues(Numbers, frozen=True):
    """What a leaf has seen of one feature among the examples of one label.

    ``low``–``high`` the range; ``n``, ``mean`` and the sum of squared deviations (Welford).
    """

    label: str
    low: float
    high: float
    n: Weight
    mean: float
    squares: float


class BucketRow(Numbers, frozen=True):
    """One row of ADWIN's exponential histogram; ``filled`` of the buckets are in use."""

    filled: Count
    totals: tuple[float, ...]
    variances: tuple[float, ...]


class WindowState(Numbers, frozen=True):
    """``river.drift.ADWIN``: the adaptive window over a node's errors (0 or 1 each).

    Field by field what river's Rust object writes (Bifet & Gavaldà 2007, ADWIN2).
    """

    drift_detected: bool
    total: float
    variance: float
    width: Weight
    total_width: Weight
    counters: tuple[Count, Count, Count, Count]
    rows: Annotated[tuple[BucketRow, ...], Meta(min_length=1, max_length=MAX_BUCKET_ROWS)]


class LeafState(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="leaf"):
    """A learning node. ``features`` is ``None`` when the leaf no longer looks for a split."""

    depth: Count
    stats: dict[str, float]
    error: MeanState
    window: WindowState
    last_split_attempt_at: float
    features: dict[str, tuple[ClassValues, ...]] | None


class BranchState(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="branch"):
    """``feature <= threshold`` goes left. ``alternate`` is being grown to replace it."""

    depth: Count
    stats: dict[str, float]
    error: MeanState
    window: WindowState
    feature: str
    threshold: float
    left: NodeState
    right: NodeState
    alternate: NodeState | None


NodeState = LeafState | BranchState


class ModelState(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole tree; ``root`` is ``None`` before the first example. Counters are river's own."""

    classes: tuple[str, ...]
    weight_seen: Weight
    counters: dict[str, Integer]
    root: NodeState | None
