"""A river Hoeffding adaptive tree as plain data: what a snapshot holds of the model.

Only what learning changes is here; what the model was made with comes from the settings. Weights
are numbers of examples, errors are 0–1. Numbers are kept exactly, so a tree that was read back
learns on as if it had never stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, with_config

from schemas.fields import Count, Integer

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
# Dataclasses, not `schemas.contract`: a model's nodes hold nodes of two kinds, which pydantic tells
# apart.
Finite = Annotated[float, Field(allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
MAX_BUCKET_ROWS = 64


class MeanState(NamedTuple):
    """``river.stats.Mean``: the errors of a node since they were last reset."""

    n: Weight
    mean: Finite


class ClassValues(NamedTuple):
    """What a leaf has seen of one feature among the examples of one label.

    ``low``–``high`` the range; ``n``, ``mean`` and the sum of squared deviations (Welford).
    """

    label: str
    low: Finite
    high: Finite
    n: Weight
    mean: Finite
    squares: Finite


class BucketRow(NamedTuple):
    """One row of ADWIN's exponential histogram; ``filled`` of the buckets are in use."""

    filled: Count
    totals: tuple[Finite, ...]
    variances: tuple[Finite, ...]


class WindowState(NamedTuple):
    """``river.drift.ADWIN``: the adaptive window over a node's errors (0 or 1 each).

    Field by field what river's Rust object writes (Bifet & Gavaldà 2007, ADWIN2).
    """

    drift_detected: bool
    total: Finite
    variance: Finite
    width: Weight
    total_width: Weight
    counters: tuple[Count, Count, Count, Count]
    rows: Annotated[tuple[BucketRow, ...], Field(min_length=1, max_length=MAX_BUCKET_ROWS)]


@with_config(STRICT)
@dataclass(frozen=True)
class LeafState:
    """A learning node. ``features`` is ``None`` when the leaf no longer looks for a split."""

    depth: Count
    stats: dict[str, Finite]
    error: MeanState
    window: WindowState
    last_split_attempt_at: Finite
    features: dict[str, tuple[ClassValues, ...]] | None
    kind: Literal["leaf"] = "leaf"


@with_config(STRICT)
@dataclass(frozen=True)
class BranchState:
    """``feature <= threshold`` goes left. ``alternate`` is being grown to replace it."""

    depth: Count
    stats: dict[str, Finite]
    error: MeanState
    window: WindowState
    feature: str
    threshold: Finite
    left: NodeState
    right: NodeState
    alternate: NodeState | None
    kind: Literal["branch"] = "branch"


NodeState = Annotated[LeafState | BranchState, Field(discriminator="kind")]


@with_config(STRICT)
@dataclass(frozen=True)
class ModelState:
    """The whole tree; ``root`` is ``None`` before the first example. Counters are river's own."""

    classes: tuple[str, ...]
    weight_seen: Weight
    counters: dict[str, Integer]
    root: NodeState | None


model_adapter: TypeAdapter[ModelState] = TypeAdapter(ModelState)
