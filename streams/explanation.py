"""A decision in words: one sentence for a prompt, a few lines for an instructor."""

from __future__ import annotations

import math
from collections.abc import Sequence

from schemas.decision import Condition, Decision
from schemas.feature import FEATURE_INDEX, FEATURE_NAMES, FEATURES
from schemas.fields import TreeId
from schemas.tree import Retraining
from streams.scoring import CompiledTree, score
from streams.wording import Asked, bound, figure, meaning, sentence_template, share


def sentence(
    tree_id: TreeId, label: str, part: float, version: int, path: Sequence[Condition]
) -> str:
    """Why it was decided so (a prompt's ``{because}``), from what the record itself holds.

    Args:
        part: the label's share of the class distribution, 0–1.

    Raises:
        KeyError: if the path names a feature that does not exist.
    """
    template, features = sentence_template(
        tree_id, label, part, version, [Asked(c.feature, c.operator, c.threshold) for c in path]
    )
    values = {c.feature: c.value for c in path}
    return template % tuple([values[feature] for feature in features])


def explain(decision: Decision, tree: CompiledTree) -> str:
    """A few lines: who, what, why, by which version, and the nearest thing that would change it.

    ``tree`` must be the version that decided; ``verify`` tells whether it is.
    """
    where = f" in {decision.course_id}" if decision.course_id else ""
    before = f", before {decision.previous_label}" if decision.previous_label else ""
    lines = [
        f"Learner {decision.user_id}{where}, {decision.timestamp:%Y-%m-%d %H:%M} UTC "
        f"({decision.event_type})",
        f"{decision.decision_label}: {_shares(decision)}{before}",
        "Because",
    ]
    lines += [f"  {_because(c)}" for c in decision.thresholds_at_time.path] or ["  no condition"]
    return "\n".join([*lines, _origin(tree), _what_if(decision, tree)])


def _shares(decision: Decision) -> str:
    shares = decision.class_distribution
    ranked = sorted(shares, key=lambda label: (label != decision.decision_label, -shares[label]))
    words = [share(shares[ranked[0]])]
    words += [f"{label} {share(shares[label])}" for label in ranked[1:3]]
    return ", ".join(words)


def _because(c: Condition) -> str:
    asked = bound(Asked(c.feature, c.operator, c.threshold))
    return f"{meaning(c.feature)}: {figure(c.feature, c.value)}, {asked} ({c.rule_id})"


def _origin(tree: CompiledTree) -> str:
    document = tree.document
    made = (
        f"By {document.tree_id} version {document.version}, made {document.created_at:%Y-%m-%d} "
        f"by {document.author}: {document.reason}"
    )
    log: Retraining | None = document.retraining_logs
    if log is None:
        return made
    changes = f" ({'; '.join(log.changes_made[:3])})" if log.changes_made else ""
    return (
        f"{made}\nLearned from {log.data_points_used} examples up to {log.date:%Y-%m-%d}{changes}"
    )


def _what_if(decision: Decision, tree: CompiledTree) -> str:
    """The single condition, nearest to its threshold, whose other answer gives another label.

    Nearness is in parts of the feature's range, or of the threshold where the range is open-ended.
    """
    features = tuple([decision.input_attributes[name] for name in FEATURE_NAMES])
    nearest: tuple[float, str] | None = None
    for c in decision.thresholds_at_time.path:
        index = FEATURE_INDEX[c.feature]
        feature = FEATURES[index]
        flipped = _other_side(c, whole=not feature.decimals)
        if not feature.low <= flipped <= feature.high:
            continue
        label = score(tree, (*features[:index], flipped, *features[index + 1 :])).label
        if label == decision.decision_label:
            continue
        span = feature.high - feature.low
        scale = span if span <= 40 else max(abs(c.threshold), 1.0)
        distance = abs(c.value - c.threshold) / scale
        if nearest is None or distance < nearest[0]:
            asked = bound(Asked(c.feature, ">" if c.operator == "<=" else "<=", c.threshold))
            words = (
                f"It would be {label} with {meaning(c.feature)} {asked} "
                f"instead of {figure(c.feature, c.value)}."
            )
            nearest = (distance, words)
    return nearest[1] if nearest else "No single one of these conditions would change the label."


def _other_side(c: Condition, *, whole: bool) -> float:
    if c.operator == ">":
        return math.floor(c.threshold) if whole else c.threshold
    return math.floor(c.threshold) + 1.0 if whole else math.nextafter(c.threshold, math.inf)
