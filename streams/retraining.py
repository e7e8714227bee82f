"""Learns a tree anew from many examples, several times over, and says whether it is the better one.

Pure and repeatable: who is held out, and the order of each pass, come from hashes of the seed and
the ids, so the same examples give the same version however they are stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from river.tree.splitter import HistogramSplitter

from schemas.errors import InvalidInput, InvalidSetting
from schemas.example import TreeExample
from schemas.feature import FEATURE_NAMES
from schemas.fields import LABELS, TreeId
from schemas.tree import Evaluation, Retraining, TreeDocument
from streams.held_out import Comparison, HeldOut, compare
from streams.leaf_counts import counted
from streams.learning import Learning, new_model
from streams.scoring import compile_tree
from streams.tree_edits import Differences, Editor, differences
from streams.tree_export import export_nodes

MIN_LEARNERS = 5
"""Fewer held out, and the interval of the difference says nothing."""

_LARGEST = 1e9
"""As in `streams.learning`: beyond every feature's range, and river squares it."""

_TOLD_EVERY = 500

_BINS, _CANDIDATES = 32, 16
"""Of a feature's histogram per label, and thresholds tried; more of either brought no more."""


class Plan(NamedTuple):
    """How to retrain.

    ``learning``: as the trainer learns, but more patient with a split, since each example comes
    again; of its rules for publishing only ``min_examples`` counts.
    ``passes``: how often each example is learned, each time in another order; at least 1.
    ``held_out``: share of the learners whose examples are only foretold, above 0 and below 1.
    ``seed``: the same one holds the same learners out, also when more have come.
    """

    learning: Learning = Learning(grace_period=200, tau=0.2)
    passes: int = 5
    held_out: float = 0.2
    seed: int = 7


@dataclass(frozen=True)
class Report:
    """``examples_used`` were learned from; ``refused`` could not be (another tree's, a feature
    missing).

    ``before_version``: the champion, which may have learned from examples that are held out here
    if ``before_learned``: it then looks better than it is.
    """

    tree_id: TreeId
    before_version: int
    before_learned: bool
    version: int
    examples_used: int
    learners_used: int
    refused: int
    changes: Differences
    held_out: Comparison

    @property
    def better(self) -> bool:
        """Decides otherwise, and foretells more of what was held out than chance explains."""
        return bool(self.changes.said) and self.held_out.difference.low > 0


class Retrained(NamedTuple):
    """The next version, not in force yet, and what speaks for and against it."""

    document: TreeDocument
    report: Report


class _Known(NamedTuple):
    example_id: str
    user_id: str
    label: str
    features: tuple[float, ...]
    labelled_at: datetime


def retrain(
    examples: Iterable[TreeExample],
    champion: TreeDocument,
    plan: Plan,
    by: Editor,
    on_learned: Callable[[int], object] = lambda count: None,
) -> Retrained:
    """A fresh tree from the examples of most learners, measured on those of the others.

    The leaves hold how many of the examples learned end there. A repeated example is learned once.
    Memory: some 1 kB an example.

    Args:
        champion: the version in force; the new one has the next number, and is pinned if it is.
        by: an empty reason becomes one that says what was measured.
        on_learned: gets how many more were learned, now and then; what it raises ends the work.

    Raises:
        InvalidInput: too few examples or learners, or one label only.
        InvalidSetting: ``passes`` or ``held_out`` out of range.
    """
    if plan.passes < 1 or not 0 < plan.held_out < 1:
        raise InvalidSetting(
            f"{plan.passes} passes, {plan.held_out} held out: it takes one pass or more, and a "
            "share between 0 and 1"
        )
    known, refused = _usable(examples, champion.tree_id)
    used, aside = _parted(known, plan)
    _check(champion.tree_id, used, aside, refused, plan.learning.min_examples)
    model = _new_model(plan.learning)
    for example in _told(_in_passes(used, plan), on_learned):
        model.learn_one(_named(example), example.label)
    nodes = export_nodes(model, champion.tree_id)
    nodes = counted(nodes, champion.tree_id, ((e.features, e.label) for e in used))
    after = champion.model_copy(update={"version": champion.version + 1, "nodes": nodes})
    changes = differences(champion, after)
    measured = compare(
        compile_tree(champion),
        compile_tree(after),
        [HeldOut(e.user_id, e.label, e.features) for e in aside],
        Counter(sorted(e.label for e in used)).most_common(1)[0][0],
    )
    document = TreeDocument(
        tree_id=champion.tree_id,
        version=after.version,
        author=by.author,
        reason=by.reason or _in_words(champion, measured),
        created_at=by.at,
        pinned=champion.pinned,
        retraining_logs=Retraining(max(e.labelled_at for e in used), changes.said, len(used)),
        evaluation=Evaluation(measured.examples, measured.before.accuracy, measured.after.accuracy),
        nodes=nodes,
    )
    report = Report(
        tree_id=champion.tree_id,
        before_version=champion.version,
        before_learned=champion.retraining_logs is not None,
        version=after.version,
        examples_used=len(used),
        learners_used=len({e.user_id for e in used}),
        refused=refused.total(),
        changes=changes,
        held_out=measured,
    )
    return Retrained(document, report)


def objection(champion: TreeDocument, retrained: Retrained) -> str:
    """What stands against putting the new version in force; empty if nothing does."""
    document, report = retrained
    held_out = report.held_out
    difference = held_out.difference
    if champion.pinned:
        return f"version {champion.version} is pinned"
    if not report.changes.said:
        return f"it decides as version {champion.version} does"
    if len(document.nodes) == 1:
        return "it says the same of everybody"
    if not report.better:
        return (
            f"it is not better than version {champion.version} by more than chance explains: "
            f"{100 * difference.estimate:+.1f} points, 95% interval {100 * difference.low:+.1f} "
            f"to {100 * difference.high:+.1f}"
        )
    if held_out.after.accuracy <= held_out.baseline_accuracy:
        return f"it foretells no more than always saying {held_out.baseline_label}"
    return ""


def _new_model(learning: Learning) -> Any:
    """The trainer's tree, with histograms of the features instead of normal distributions.

    A snapshot of the trainer cannot hold them; but most features are far from normal, and on OULAD
    the learners' labels are foretold 5 points better so.
    """
    model: Any = new_model(learning)
    model.splitter = HistogramSplitter(n_bins=_BINS, n_splits=_CANDIDATES)
    return model


def _usable(examples: Iterable[TreeExample], tree_id: TreeId) -> tuple[list[_Known], Counter[str]]:
    """Those that can be learned, and how often each reason stood against one."""
    known: dict[str, _Known] = {}
    refused = Counter[str]()
    for example in examples:
        if against := _against(example, tree_id):
            refused[against] += 1
            continue
        features = tuple([float(example.features[name]) for name in FEATURE_NAMES])
        known[example.example_id] = _Known(
            example.example_id, example.user_id, example.label, features, example.labelled_at
        )
    return list(known.values()), refused


def _against(example: TreeExample, tree_id: TreeId) -> str:
    if example.tree_id != tree_id or example.label not in LABELS[tree_id]:
        return f"no example of {tree_id}"
    for name in FEATURE_NAMES:
        value = example.features.get(name)
        if value is None:
            return f"feature {name} is missing"
        if not abs(value) <= _LARGEST:  # so written, NaN is refused as well
            return f"feature {name} is no number up to {_LARGEST:g}"
    return ""


def _parted(known: list[_Known], plan: Plan) -> tuple[list[_Known], list[_Known]]:
    """Used and held out, each learner on one side altogether."""
    used: list[_Known] = []
    aside: list[_Known] = []
    for example in known:
        share = _hashed(f"{plan.seed}:held out:{example.user_id}") / 2**64
        (aside if share < plan.held_out else used).append(example)
    return used, aside


def _check(
    tree_id: TreeId, used: list[_Known], aside: list[_Known], refused: Counter[str], least: int
) -> None:
    said = f"{tree_id}: {len(used)} examples to learn from, {len(aside)} held out"
    if refused:
        reason, count = refused.most_common(1)[0]
        said += f", {refused.total()} of no use ({count} times: {reason})"
    if len(used) < least:
        raise InvalidInput(f"{said}: {least} are needed. Wait for more, or ask for fewer")
    learners = len({example.user_id for example in aside})
    if learners < MIN_LEARNERS:
        raise InvalidInput(
            f"{said}, these of {learners} learners: {MIN_LEARNERS} are needed. Hold out a larger "
            "share, or wait for more learners"
        )
    if len({example.label for example in used}) == 1:
        raise InvalidInput(
            f"{said}: all have the label {used[0].label}, so there is nothing to tell apart. Wait "
            "for examples of other labels"
        )


def _in_passes(used: list[_Known], plan: Plan) -> Iterator[_Known]:
    """Every example once per pass, each pass in an order of its own."""
    for number in range(plan.passes):
        order = [(_hashed(f"{plan.seed}:{number}:{e.example_id}"), e) for e in used]
        yield from (example for _, example in sorted(order))


def _told(examples: Iterator[_Known], on_learned: Callable[[int], object]) -> Iterator[_Known]:
    since = 0
    for example in examples:
        yield example
        since += 1
        if since == _TOLD_EVERY:
            on_learned(since)
            since = 0
    on_learned(since)


def _named(example: _Known) -> dict[str, float]:
    return dict(zip(FEATURE_NAMES, example.features, strict=True))


def _hashed(text: str) -> int:
    """64 bits that look like chance and are always the same."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _in_words(champion: TreeDocument, measured: Comparison) -> str:
    return (
        f"retrained: foretold {measured.after.accuracy:.1%} of {measured.examples:,} held-out "
        f"examples, version {champion.version} {measured.before.accuracy:.1%}"
    )
