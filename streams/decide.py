"""Both trees judge every event; a decision goes out when one changes its mind or is asked to."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.decision import Decision, EventSource, Thresholds
from schemas.engagement import Engagement
from schemas.event import LearnerEvent
from schemas.feature import FEATURE_NAMES
from schemas.fields import TREE_IDS, TreeId
from schemas.state import copy_state
from streams.derived_id import derived_id
from streams.scoring import CompiledTree, Score, score

DECISION_POINTS: dict[str, EventSource] = {
    "profile.updated": "onboarding",
    "course.enrolled": "onboarding",
    "quiz.submitted": "quiz_submit",
    "topic.changed": "topic_change",
}
"""Event types at which a decision is always sent, and what the source calls them."""


def decide(
    event: LearnerEvent,
    engagement: Engagement,
    features: tuple[float, ...],
    trees: Mapping[TreeId, CompiledTree],
    every_event: bool,
) -> tuple[Engagement, tuple[Decision, ...]]:
    """Scores both trees; the engagement with the labels now given, and the decisions to send.

    Sent when the tree's label differs from the last one given in this course, at a decision
    point, or (``every_event``) always. The engagement is the same object if no label changed.
    """
    point = DECISION_POINTS.get(event.type)
    decisions = []
    inputs: dict[str, float] | None = None
    labels = engagement.labels
    for tree_id in TREE_IDS:
        tree = trees[tree_id]
        result = score(tree, features)
        previous = engagement.labels.get(tree_id, "")
        changed = result.label != previous
        if changed:
            labels = {**labels, tree_id: result.label}
        if changed or point or every_event:
            if inputs is None:
                inputs = dict(zip(FEATURE_NAMES, features, strict=True))
            source: EventSource = point or ("label_change" if changed else "every_event")
            decisions.append(
                _decision(
                    event,
                    engagement,
                    tree,
                    result,
                    features=features,
                    inputs=inputs,
                    previous=previous,
                    source=source,
                )
            )
    if labels is not engagement.labels:
        engagement = copy_state(engagement)
        engagement.labels = labels
    return engagement, tuple(decisions)


def _decision(  # noqa: PLR0913
    event: LearnerEvent,
    engagement: Engagement,
    tree: CompiledTree,
    result: Score,
    *,
    features: tuple[float, ...],
    inputs: dict[str, float],
    previous: str,
    source: EventSource,
) -> Decision:
    document = tree.document
    return Decision(
        derived_id(event.event_id, document.tree_id),
        event.user_id,
        engagement.course_id,
        event.occurred_at,
        document.tree_id,
        inputs,
        result.label,
        previous,
        result.distribution,
        result.sentence(features),
        Thresholds(document.version, result.path(features)),
        result.rule_ids,
        document.retraining_logs,
        document.version,
        event.event_id,
        event.type,
        source,
        event.traceparent,
    )
