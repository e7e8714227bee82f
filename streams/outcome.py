"""What an outcome says: which learner it was, and whether the strategy helped.

The thresholds are choices, each with its reason; change one and the trees learn another language.
"""

from __future__ import annotations

from typing import cast

from schemas.engagement import PendingExample
from schemas.event import CourseCompleted, CourseWithdrawn, LearnerEvent
from schemas.example import LabelledBy
from schemas.fields import LearnerLabel, StrategyLabel

MISCALIBRATED = 0.25
"""Confidence off the score by a quarter of the scale: one step of a five-point rating."""

DOUBTED_SCORE = 0.6
"""From here a score is an achievement, so that doubting it is underconfidence."""

HIGH_SCORE = 0.8
"""Mastery as commonly set (Bloom 1968: 80–90%)."""

FEW_HELPS = 0.5
"""Hints and retries per answer: at most every other answer needed one."""

MUCH_HELP = 1.0
"""Hints and retries per answer: each answer was worked for."""

STRIVING_SCORE = 0.7
"""Below it somebody who works for each answer and gets better is still on the way."""

LOW_SCORE = 0.5
"""More wrong than right."""

GAIN = 0.05
"""What counts as doing better: half a mark in ten."""

KEPT_SCORE = 0.9
"""At the top there is nothing to gain: keeping it counts as doing better."""


NEEDED: dict[LearnerLabel, StrategyLabel] = {
    "Struggling Novice": "Scaffolded Remediation",
    "Persistent Striver": "Worked Examples",
    "Overconfident Learner": "Confidence Calibration",
    "Underconfident Achiever": "Encouragement",
    "Steady Achiever": "Spaced Review",
    "Fast Tracker": "Enrichment Challenge",
    "Disengaging Learner": "Re-engagement Outreach",
}
"""What each learner needs most: support faded with mastery (scaffolding, worked-example effect and
expertise reversal), metacognitive feedback where confidence and score part, contact after silence.
"""


def learner_label(
    pending: PendingExample, event: LearnerEvent, known_by: LabelledBy
) -> LearnerLabel:
    """What the learner was, seen from afterwards: the label for ``primary_classification``.

    Withdrawal and silence are Disengaging Learner, fail Struggling Novice, distinction Fast
    Tracker. Otherwise the answers since tell it; who passed after low ones was a Persistent
    Striver, not a Struggling Novice.
    """
    if known_by == "silence" or isinstance(event, CourseWithdrawn):
        return "Disengaging Learner"
    if not isinstance(event, CourseCompleted):
        return _label_of_answers(pending)
    if event.result == "fail":
        return "Struggling Novice"
    if event.result == "distinction":
        return "Fast Tracker"
    label = _label_of_answers(pending)
    return "Persistent Striver" if label == "Struggling Novice" else label


def _label_of_answers(pending: PendingExample) -> LearnerLabel:
    """The first that holds; miscalibration comes first, since a score alone does not show it."""
    if not pending.attempts:
        return "Steady Achiever"
    mean = pending.score_sum / pending.attempts
    help_rate = (pending.retries + pending.hints) / pending.attempts
    told = pending.confidence_count
    gap = pending.confidence_gap_sum / told if told else 0.0
    if gap >= MISCALIBRATED:
        return "Overconfident Learner"
    if gap <= -MISCALIBRATED and mean >= DOUBTED_SCORE:
        return "Underconfident Achiever"
    if mean >= HIGH_SCORE and help_rate <= FEW_HELPS:
        return "Fast Tracker"
    if mean < STRIVING_SCORE and help_rate >= MUCH_HELP and mean > pending.score_before:
        return "Persistent Striver"
    return "Struggling Novice" if mean < LOW_SCORE else "Steady Achiever"


def right_strategy(
    pending: PendingExample, event: LearnerEvent, known_by: LabelledBy
) -> StrategyLabel:
    """What would have been right to do, seen from afterwards: the label for
    ``intervention_strategy``.

    The strategy chosen, if the learner did better after it (`helped`); otherwise what the outcome
    shows was needed (`NEEDED`). So success confirms a strategy, and failure teaches another one,
    also one that was never tried. What a different strategy would really have done nobody knows:
    chance, and falling back to the mean after a bad spell, pass for help.
    """
    if helped(pending, event, known_by):
        return cast(StrategyLabel, pending.strategy)
    return NEEDED[learner_label(pending, event, known_by)]


def helped(pending: PendingExample, event: LearnerEvent, known_by: LabelledBy) -> bool:
    """Whether the strategy chosen then was followed by something better.

    Better is: the course passed; a mean score at least ``GAIN`` above the one before, or kept at
    ``KEPT_SCORE``; for Re-engagement Outreach, that answers came in again without a silence.
    """
    if isinstance(event, CourseCompleted):
        return event.result != "fail"
    if known_by != "next_attempts":
        return False
    if pending.strategy == "Re-engagement Outreach":
        return True
    mean = pending.score_sum / pending.attempts
    return mean >= min(pending.score_before + GAIN, KEPT_SCORE)
