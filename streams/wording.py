"""Figures, conditions and labels in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from schemas.feature import FEATURE_INDEX, FEATURES
from schemas.fields import TreeId


class Asked(NamedTuple):
    """A condition without the learner's value: what a tree asks and which way it went."""

    feature: str
    operator: str
    threshold: float


def figure(feature: str, value: float) -> str:
    """The value with as many decimals as tell something of this feature."""
    return f"{value:.{FEATURES[FEATURE_INDEX[feature]].decimals}f}"


def meaning(feature: str) -> str:
    """What a feature is, without what holds when nothing is known."""
    return FEATURES[FEATURE_INDEX[feature]].meaning.partition(";")[0]


def bound(asked: Asked) -> str:
    """ "at most 0.45" or "above 0.45"; a count's threshold as the whole number that it means."""
    decimals = FEATURES[FEATURE_INDEX[asked.feature]].decimals
    threshold = asked.threshold if decimals else math.floor(asked.threshold)
    # One decimal more than a figure, so that a value just past its threshold shows it.
    words = f"{threshold:.{decimals + 1}f}" if decimals else f"{threshold}"
    if decimals:
        words = words.rstrip("0").rstrip(".")
    return f"{'at most' if asked.operator == '<=' else 'above'} {words}"


def share(part: float) -> str:
    """A share 0–1 in per cent."""
    return f"{part:.0%}"


def opening(tree_id: TreeId, label: str, part: float, version: int) -> str:
    """What was decided, by which version, with which share of its leaf."""
    by = f"({share(part)} by tree version {version})"
    if tree_id == "intervention_strategy":
        return f"The advice is {label} {by}"
    return f"The learner looks like {'an' if label[0] in 'AEIOU' else 'a'} {label} {by}"


def sentence_template(
    tree_id: TreeId, label: str, part: float, version: int, path: Sequence[Asked]
) -> tuple[str, tuple[str, ...]]:
    """Why it was decided so, with a ``%`` slot per figure, and whose figure goes in each.

    Several conditions on one feature become one phrase, with the tightest bound each way.
    """
    bounds: dict[str, dict[str, Asked]] = {}
    for asked in path:
        known = bounds.setdefault(asked.feature, {})
        held = known.get(asked.operator)
        if held is None or (asked.threshold < held.threshold) == (asked.operator == "<="):
            known[asked.operator] = asked
    start = opening(tree_id, label, part, version).replace("%", "%%")
    if not bounds:
        return f"{start}, whatever the figures.", ()
    phrases = []
    for feature, known in bounds.items():
        limits = " and ".join([bound(known[operator]) for operator in sorted(known, reverse=True)])
        slot = f"%.{FEATURES[FEATURE_INDEX[feature]].decimals}f"
        phrases.append(f"{meaning(feature).replace('%', '%%')} {slot} ({limits})")
    return f"{start}: {', '.join(phrases)}.", tuple(bounds)
