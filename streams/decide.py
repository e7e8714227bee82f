"""Both trees judge every event; a decision goes out when one changes its mind or is asked to."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import NamedTuple

from schemas.decision import Decision, EventSource, Thresholds
from schemas.engagement import Engagement
from schemas.event import LearnerEvent
from schemas.feature import FEATURE_NAMES
from schemas.fields import TREE_IDS, TreeId
from schemas.profile import Profile
from schemas.prompt import PromptFigures
from streams.derived_id import made_at
from streams.figures import prompt_figures
from streams.prompt import Prompts, Words
from streams.rules import Rules
from streams.scoring import CompiledTree, Score, score
from streams.trace import traceparent_of

DECISION_POINTS: dict[str, EventSource] = {
    "profile.updated": "onboarding",
    "course.enrolled": "onboarding",
    "quiz.submitted": "quiz_submit",
    "topic.changed": "topic_change",
    "chat.message": "chat_message",
}
"""Event types at which a decision is always sent, and what the source calls them.

Of chat messages only the learner's own: see `decision_point`.
"""


def decision_point(event: LearnerEvent) -> EventSource | None:
    """What the source calls the event if a decision is always sent at it."""
    if event.type == "chat.message" and event.message_direction == "system":
        return None
    return DECISION_POINTS.get(event.type)


def decide(  # noqa: PLR0913, PLR0917
    event: LearnerEvent,
    profile: Profile,
    engagement: Engagement,
    features: tuple[float, ...],
    trees: Mapping[TreeId, CompiledTree],
    rules: Rules,
) -> tuple[Engagement, tuple[Decision, ...]]:
    """Scores both trees; the engagement with the labels now given, and the decisions to send.

    Sent when the tree's label differs from the last one given in this course, at a decision
    point, or (``decide_on_every_event``) always. The engagement is the same object if nothing was
    sent.
    """
    point = decision_point(event)
    decisions = []
    told: _Told | None = None
    labels = engagement.labels
    for tree_id in TREE_IDS:
        tree = trees[tree_id]
        result = score(tree, features)
        previous = engagement.labels.get(tree_id, "")
        changed = result.label != previous
        if changed:
            labels = {**labels, tree_id: result.label}
        if changed or point or rules.decide_on_every_event:
            if told is None:
                figures = prompt_figures(profile, engagement, event)
                told = _Told(
                    event,
                    dict(zip(FEATURE_NAMES, features, strict=True)),
                    figures,
                    rules.prompts.words(figures),
                    traceparent_of(event),
                    rules.prompts,
                )
            source: EventSource = point or ("label_change" if changed else "every_event")
            decisions.append(
                _decision(told, engagement.course_id, tree, result, features, previous, source)
            )
    if decisions:
        engagement = copy(engagement)
        engagement.labels = labels
        sent: dict[str, str] = {decision.tree_id: decision.decision_id for decision in decisions}
        engagement.decision_ids = {**engagement.decision_ids, **sent}
    return engagement, tuple(decisions)


class _Told(NamedTuple):
    """What both decisions of an event share."""

    event: LearnerEvent
    inputs: dict[str, float]
    figures: PromptFigures
    words: Words
    traceparent: str
    prompts: Prompts


def _decision(  # noqa: PLR0913, PLR0917
    told: _Told,
    course_id: str,
    tree: CompiledTree,
    result: Score,
    features: tuple[float, ...],
    previous: str,
    source: EventSource,
) -> Decision:
    document, event = tree.document, told.event
    because = result.sentence(features)
    return Decision(
        made_at(event.event_id, event.user_id, event.occurred_at, document.tree_id),
        event.user_id,
        course_id,
        event.occurred_at,
        document.tree_id,
        told.inputs,
        result.label,
        previous,
        result.distribution,
        told.prompts.fill(document.tree_id, result.label, told.words, because),
        Thresholds(document.version, result.path(features)),
        result.rule_ids,
        document.retraining_logs,
        document.version,
        event.event_id,
        event.type,
        source,
        told.traceparent,
        told.prompts.version,
        told.figures,
    )
