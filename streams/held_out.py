"""Two versions of a tree on examples that the later one has not learned from: which foretells more?

The examples of one learner are alike, so how sure the difference is depends on how many learners
there are more than on how many examples: `paired_difference` counts it so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

from schemas.fields import LABELS, TreeId
from streams.scoring import CompiledTree, score

_Z = 1.959964
"""97.5% of the normal distribution lie below: for an interval of 95%."""

_GAINED, _LOST = (False, True), (True, False)


class HeldOut(NamedTuple):
    """An example that was put aside; ``features`` in the order of ``FEATURES``."""

    user_id: str
    label: str
    features: tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """By how much the later version foretells more, in shares of the examples (−1–1).

    ``low``–``high`` is the 95% interval; above 0 altogether, the difference is more than chance.
    ``gained``: examples that only the later version foretold right, ``lost``: only the earlier.
    """

    estimate: float
    low: float
    high: float
    gained: int
    lost: int


@dataclass(frozen=True)
class Marks:
    """How one version did. Shares are 0–1, labels those that occur in the examples.

    ``recall``: of the examples with a label, how many were foretold right; ``mean_recall``: their
    mean, in which a rare label counts as much as a common one. ``confusion``: for each true label
    how often each label was foretold.
    """

    accuracy: float
    mean_recall: float
    recall: dict[str, float]
    confusion: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Comparison:
    """``baseline_label``: the most common one among the examples learned from, and
    ``baseline_accuracy`` what always guessing it would have brought."""

    examples: int
    learners: int
    labels: dict[str, int]
    before: Marks
    after: Marks
    difference: Difference
    baseline_label: str
    baseline_accuracy: float


def compare(
    before: CompiledTree, after: CompiledTree, examples: Iterable[HeldOut], baseline_label: str
) -> Comparison:
    """Foretells each example with both. There must be examples, of two learners at least."""
    counts: Counter[tuple[str, str, str]] = Counter()
    by_learner: dict[str, Counter[tuple[bool, bool]]] = {}
    for user_id, label, features in examples:
        was, now = score(before, features).label, score(after, features).label
        counts[(label, was, now)] += 1
        by_learner.setdefault(user_id, Counter())[(was == label, now == label)] += 1
    tree_id = after.document.tree_id
    labels = Counter[str]()
    for (label, _, _), count in counts.items():
        labels[label] += count
    return Comparison(
        examples=labels.total(),
        learners=len(by_learner),
        labels=_in_order(labels, tree_id),
        before=_marks(counts, tree_id, 1),
        after=_marks(counts, tree_id, 2),
        difference=paired_difference(by_learner.values()),
        baseline_label=baseline_label,
        baseline_accuracy=labels[baseline_label] / labels.total(),
    )


def paired_difference(by_learner: Iterable[Counter[tuple[bool, bool]]]) -> Difference:
    """The difference of two accuracies on the same examples, with its 95% interval.

    For each learner: how many of their examples were foretold right (before, after).

    ``d = Σ(gⱼ − lⱼ) / n`` over learners j, gained and lost, and
    ``var d = m/(m − 1) · Σ(gⱼ − lⱼ − d·nⱼ)² / n²`` for m learners and n examples: the paired
    difference of McNemar's table for clustered data (Obuchowski, *On the comparison of correlated
    proportions for clustered data*, Statistics in Medicine 17, 1998). With one example each it is
    the usual paired one. The interval is ``d ± t·√var d``, t of m − 1 degrees of freedom.
    """
    learners = list(by_learner)
    together = sum(learners, Counter[tuple[bool, bool]]())
    n, m = together.total(), len(learners)
    gained, lost = together[_GAINED], together[_LOST]
    d = (gained - lost) / n
    squares = sum((c[_GAINED] - c[_LOST] - d * c.total()) ** 2 for c in learners)
    half = _t(m - 1) * sqrt(m / (m - 1) * squares) / n
    return Difference(d, max(-1.0, d - half), min(1.0, d + half), gained, lost)


def _t(freedom: int) -> float:
    """97.5% point of Student's t (Abramowitz & Stegun 26.7.5); within 0.3% from 5 degrees on."""
    z, v = _Z, freedom
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def _marks(counts: Counter[tuple[str, str, str]], tree_id: TreeId, which: int) -> Marks:
    confusion: dict[str, Counter[str]] = {}
    for key, count in counts.items():
        confusion.setdefault(key[0], Counter())[key[which]] += count
    ordered = [label for label in LABELS[tree_id] if label in confusion]
    recall = {label: confusion[label][label] / confusion[label].total() for label in ordered}
    right = sum(confusion[label][label] for label in ordered)
    return Marks(
        accuracy=right / counts.total(),
        mean_recall=sum(recall.values()) / len(recall),
        recall=recall,
        confusion={label: _in_order(confusion[label], tree_id) for label in ordered},
    )


def _in_order(counts: Counter[str], tree_id: TreeId) -> dict[str, int]:
    return {label: counts[label] for label in LABELS[tree_id] if counts[label]}
