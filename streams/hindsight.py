"""Labels from hindsight: what a learner turned out to be, told by what happened next.

At a decision point the features are put aside (`open_example`); when what they should have
foretold is known, they go out with their true label (`settle`). What makes it known, the first
that holds:

1. ``person``: a label.assigned event, for the tree it names; the other tree learns nothing.
2. ``course_result``: the course was completed or left.
3. ``silence``: the learner had fallen silent between the decision and this event.
4. ``next_attempts``: three graded answers came in.

The intervention tree learns from what followed a strategy that was delivered. Where a learner's
course has seen a delivery (``strategy.delivered``), an example whose strategy was not taken by the
time it settles teaches that tree nothing, unless a person says what was right; where nobody reports
deliveries, decided counts as delivered (docs/decisions/0022).

Events are taken as they arrive. One that happened before the decision says nothing of what came
after it and is passed over, however late it arrives; a late one from after the decision counts,
and one that arrives after the example was settled changes nothing any more.
"""

from __future__ import annotations

from copy import copy
from datetime import timedelta

from schemas.engagement import PENDING_WINDOW, Engagement, PendingExample
from schemas.event import (
    ChatMessage,
    CourseCompleted,
    CourseWithdrawn,
    HintRequested,
    LabelAssigned,
    LearnerEvent,
    QuizSubmitted,
    StrategyDelivered,
)
from schemas.example import LabelledBy, TreeExample
from schemas.feature import FEATURE_INDEX, FEATURE_NAMES
from schemas.fields import TreeId
from streams.activity import is_activity
from streams.confidence import known_at
from streams.decide import decision_point
from streams.derived_id import made_at
from streams.outcome import learner_label, right_strategy

NEXT_ANSWERS = 3
"""Graded answers awaited: one is chance, and more than a few come after the label has changed."""

ANSWERS_BETWEEN = 2
"""Graded answers between two openings, so that two examples share at most one of their three."""

SILENCE = timedelta(days=14)
"""Two missed weeks of a weekly course: the usual mark of disengaging in learning analytics."""

SILENCE_IN_GAPS = 3
"""And three times the learner's own usual gap: where work is due monthly, two weeks say nothing."""

_RECENT_SCORE = FEATURE_INDEX["recent_score"]


def settle(
    engagement: Engagement, event: LearnerEvent
) -> tuple[Engagement, tuple[TreeExample, ...]]:
    """Counts an event of the course into the open examples; those whose label is now known.

    Called before the event is folded: the silence that it ends is seen in the engagement.
    The engagement is the same object if nothing was counted.
    """
    pending = engagement.pending
    if not pending:
        return engagement, ()
    if isinstance(event, StrategyDelivered):
        return _delivered(engagement, event), ()
    examples: tuple[TreeExample, ...] = ()
    still_open: list[PendingExample] = []
    silent_since = engagement.last_activity_at if _fell_silent(engagement, event) else None
    for example in pending:
        if event.occurred_at < example.opened_at:
            still_open.append(example)
            continue
        counted = _count(example, engagement, event)
        # What was decided after the silence had begun is not what it tells of.
        silent = silent_since is not None and example.opened_at <= silent_since
        known_by = _known_by(counted, event, silent)
        if known_by is None:
            still_open.append(counted)
        else:
            examples += _examples(engagement, counted, event, known_by)
    if examples or any(a is not b for a, b in zip(pending, still_open, strict=False)):
        engagement = copy(engagement)
        engagement.pending = tuple(still_open)
    return engagement, examples


def open_example(
    engagement: Engagement,
    event: LearnerEvent,
    features: tuple[float, ...],
    label: str,
    strategy: str,
) -> Engagement:
    """Puts the features of a decision point aside until their label is known.

    Only inside a course that has no result yet, while fewer than ``PENDING_WINDOW`` are open, and
    not before two graded answers have come in since the last opening. The features are kept
    exactly, so that the example is the decision's inputs.
    """
    pending = engagement.pending
    if (
        decision_point(event) is None
        or not engagement.course_id
        or engagement.result is not None
        or len(pending) >= PENDING_WINDOW
        or (pending and pending[-1].attempts < ANSWERS_BETWEEN)
    ):
        return engagement
    opened = PendingExample(
        event_id=event.event_id,
        opened_at=event.occurred_at,
        features=features,
        label=label,
        strategy=strategy,
        score_before=features[_RECENT_SCORE],
    )
    engagement = copy(engagement)
    engagement.pending = (*pending, opened)
    return engagement


def _delivered(engagement: Engagement, event: StrategyDelivered) -> Engagement:
    """With the example marked whose strategy it was; the same object if none that is open.

    The decision's id alone tells it: the service's clock is not the learner's.
    """
    pending = engagement.pending
    for place, example in enumerate(pending):
        made = made_at(example.event_id, event.user_id, example.opened_at, "intervention_strategy")
        if made == event.decision_id:
            marked = copy(example)
            marked.delivered = True
            engagement = copy(engagement)
            engagement.pending = (*pending[:place], marked, *pending[place + 1 :])
    return engagement


def _fell_silent(engagement: Engagement, event: LearnerEvent) -> bool:
    """Whether the learner was away for long, by the calendar and by their own rhythm.

    Told by what the learner does after it: the tutor's word, or a label assigned, ends no silence.
    The rhythm is the mean gap between the recent graded answers; without two of them there is
    none to fall out of (a learner enrols months ahead), and nothing is silence.
    """
    last, answers = engagement.last_activity_at, engagement.quiz_attempts
    if last is None or len(answers) < 2 or not is_activity(event):
        return False
    away = event.occurred_at - last
    if away < SILENCE:
        return False
    usual = (answers[-1].timestamp - answers[0].timestamp) / (len(answers) - 1)
    return away >= SILENCE_IN_GAPS * usual


def _count(example: PendingExample, engagement: Engagement, event: LearnerEvent) -> PendingExample:
    """The example with a graded answer or hint counted in; the same object for other events.

    Hints are those of ``fold_engagement``: asked for by the learner. Confidence: told with the
    answer, or the latest told before of its topic.
    """
    if isinstance(event, HintRequested) or (
        isinstance(event, ChatMessage) and event.hint_used and is_activity(event)
    ):
        example = copy(example)
        example.hints += 1
    elif isinstance(event, QuizSubmitted):
        example = copy(example)
        example.attempts += 1
        example.score_sum += event.score
        example.retries += event.retries
        example.hints += event.hint_used
        confidence = event.confidence
        if confidence is None and event.topic_id is not None:
            confidence = known_at(engagement, event.topic_id, event.occurred_at)
        if confidence is not None:
            example.confidence_gap_sum += confidence - event.score
            example.confidence_count += 1
    return example


def _known_by(example: PendingExample, event: LearnerEvent, silent: bool) -> LabelledBy | None:
    if isinstance(event, LabelAssigned):
        return "person"
    if isinstance(event, CourseCompleted | CourseWithdrawn):
        return "course_result"
    if silent:
        return "silence"
    return "next_attempts" if example.attempts >= NEXT_ANSWERS else None


def _examples(
    engagement: Engagement, pending: PendingExample, event: LearnerEvent, known_by: LabelledBy
) -> tuple[TreeExample, ...]:
    labels: dict[TreeId, str] = {}
    if isinstance(event, LabelAssigned):
        labels[event.tree_id] = event.label
    else:
        labels["primary_classification"] = learner_label(pending, event, known_by)
        if pending.delivered or not engagement.deliveries:
            labels["intervention_strategy"] = right_strategy(pending, event, known_by)
    features = dict(zip(FEATURE_NAMES, pending.features, strict=True))
    return tuple(
        [
            TreeExample(
                example_id=made_at(
                    pending.event_id, engagement.user_id, pending.opened_at, f"example:{tree_id}"
                ),
                tree_id=tree_id,
                user_id=engagement.user_id,
                course_id=engagement.course_id,
                decided_at=pending.opened_at,
                labelled_at=event.occurred_at,
                features=features,
                label=label,
                labelled_by=known_by,
            )
            for tree_id, label in labels.items()
        ]
    )
