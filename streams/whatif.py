"""What a proposed tree would have said of the learners that were decided about: who is affected.

Pure, in one pass; what it keeps grows with the learners, not with the decisions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from schemas.decision import Decision
from schemas.feature import FEATURE_NAMES
from schemas.fields import LABELS, TreeId
from streams.scoring import CompiledTree, score


@dataclass(frozen=True, slots=True)
class Transition:
    """``decisions`` that gave the label ``then``, and would give ``proposed``."""

    then: str
    proposed: str
    decisions: int


@dataclass(frozen=True, slots=True)
class Affected:
    """A learner whose latest decision would give another label, and by which rules.

    ``…rules``: ids from the root to the leaf. ``version``: the one that decided.
    """

    user_id: str
    course_id: str
    timestamp: datetime
    version: int
    then: str
    proposed: str
    then_rules: tuple[str, ...]
    proposed_rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """``transitions`` in the order of ``LABELS``, those that stay as they are included.

    ``without_features``: decisions that lack a feature of today, and so are not in ``decisions``.
    ``learners``: of whom anything was decided. ``affected``: some of them, by user id.
    """

    tree_id: TreeId
    decisions: int
    changed: int
    without_features: int
    transitions: tuple[Transition, ...]
    learners: int
    affected: tuple[Affected, ...]


def whatif(
    decisions: Iterable[Decision], proposed: CompiledTree, in_force: CompiledTree | None = None
) -> WhatIf:
    """Scores the inputs of past decisions with a proposed tree.

    Decisions of other trees are passed over. A learner's latest is the one with the last
    ``timestamp``, of equal ones the one that comes last here.

    Args:
        in_force: "then" is what this one says of the same inputs, instead of what was said: only
            what the proposal changes is counted, not what versions in between have changed.
    """
    tree_id = proposed.document.tree_id
    counts: dict[tuple[str, str], int] = {}
    latest: dict[str, Affected] = {}
    without_features = 0
    for decision in decisions:
        if decision.tree_id != tree_id:
            continue
        features = _features(decision)
        if features is None:
            without_features += 1
            continue
        outcome = _outcome(decision, features, proposed, in_force)
        key = (outcome.then, outcome.proposed)
        counts[key] = counts.get(key, 0) + 1
        known = latest.get(decision.user_id)
        if known is None or decision.timestamp >= known.timestamp:
            latest[decision.user_id] = outcome
    place = {label: number for number, label in enumerate(LABELS[tree_id])}
    transitions = tuple(
        Transition(*key, counts[key])
        for key in sorted(counts, key=lambda key: (place[key[0]], place[key[1]]))
    )
    return WhatIf(
        tree_id=tree_id,
        decisions=sum(counts.values()),
        changed=sum(t.decisions for t in transitions if t.then != t.proposed),
        without_features=without_features,
        transitions=transitions,
        learners=len(latest),
        affected=tuple(
            latest[user_id]
            for user_id in sorted(latest)
            if latest[user_id].then != latest[user_id].proposed
        ),
    )


def _features(decision: Decision) -> tuple[float, ...] | None:
    given = decision.input_attributes
    try:
        return tuple([given[name] for name in FEATURE_NAMES])
    except KeyError:
        return None


def _outcome(
    decision: Decision,
    features: tuple[float, ...],
    proposed: CompiledTree,
    in_force: CompiledTree | None,
) -> Affected:
    after = score(proposed, features)
    version, then = decision.decision_version, decision.decision_label
    rules = decision.flagged_rules_hit
    if in_force is not None:
        before = score(in_force, features)
        version, then, rules = in_force.document.version, before.label, before.rule_ids
    return Affected(
        decision.user_id,
        decision.course_id,
        decision.timestamp,
        version,
        then,
        after.label,
        rules,
        after.rule_ids,
    )
