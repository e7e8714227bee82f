"""What three answers, or a result, say of a learner: each rule by hand, at and beside its edge."""

from __future__ import annotations

import pytest
from example_learners.algebra import day, event, quiz

from schemas.engagement import PendingExample
from schemas.event import LearnerEvent
from schemas.example import LabelledBy
from schemas.fields import LABELS
from streams.outcome import NEEDED, helped, learner_label, right_strategy

ANSWER = quiz(1.0)


def pending(**known: object) -> PendingExample:
    """Three answers; ``mean`` and ``gap`` (over all three) instead of their sums."""
    example = PendingExample("id", day(0), (), "Steady Achiever", "Worked Examples", 0.5)
    values: dict[str, object] = {"attempts": 3, "mean": 0.6, **known}
    attempts = values["attempts"]
    assert isinstance(attempts, int)
    values["score_sum"] = attempts * values.pop("mean")  # type: ignore[operator]
    if "gap" in values:
        values["confidence_gap_sum"] = 3 * values.pop("gap")  # type: ignore[operator]
        values["confidence_count"] = 3
    for name, value in values.items():
        assert hasattr(example, name)
        setattr(example, name, value)
    return example


@pytest.mark.parametrize(
    ("known", "label"),
    [
        # confidence against score comes first
        ({"mean": 0.6, "gap": 0.25}, "Overconfident Learner"),
        ({"mean": 0.2, "gap": 0.5}, "Overconfident Learner"),
        ({"mean": 0.6, "gap": 0.2}, "Steady Achiever"),
        ({"mean": 0.9, "gap": -0.25}, "Underconfident Achiever"),
        ({"mean": 0.625, "gap": -0.5}, "Underconfident Achiever"),
        ({"mean": 0.55, "gap": -0.5}, "Steady Achiever"),
        ({"mean": 0.25, "gap": -0.25}, "Struggling Novice"),
        # then a high score, unless it took help: 1 in 3 is few, 2 in 3 is not
        ({"mean": 0.875}, "Fast Tracker"),
        ({"mean": 0.875, "retries": 1}, "Fast Tracker"),
        ({"mean": 0.875, "retries": 1, "hints": 1}, "Steady Achiever"),
        ({"mean": 0.75}, "Steady Achiever"),
        # then effort that pays
        ({"mean": 0.375, "score_before": 0.25, "retries": 2, "hints": 1}, "Persistent Striver"),
        ({"mean": 0.625, "score_before": 0.5, "hints": 3}, "Persistent Striver"),
        ({"mean": 0.75, "score_before": 0.5, "hints": 3}, "Steady Achiever"),
        ({"mean": 0.375, "score_before": 0.25, "retries": 2}, "Struggling Novice"),
        ({"mean": 0.375, "score_before": 0.375, "retries": 3}, "Struggling Novice"),
        ({"mean": 0.375, "score_before": 0.5, "retries": 9}, "Struggling Novice"),
        # then the score alone
        ({"mean": 0.49}, "Struggling Novice"),
        ({"mean": 0.5}, "Steady Achiever"),
    ],
)
def test_from_three_answers(known: dict[str, object], label: str) -> None:
    assert learner_label(pending(**known), ANSWER, "next_attempts") == label


FAIL = event("course.completed", result="fail")
PASS = event("course.completed", result="pass")
DISTINCTION = event("course.completed", result="distinction")
WITHDRAWN = event("course.withdrawn")


@pytest.mark.parametrize(
    ("occurred", "known_by", "known", "label"),
    [
        (WITHDRAWN, "course_result", {"mean": 1.0}, "Disengaging Learner"),
        (ANSWER, "silence", {"mean": 1.0}, "Disengaging Learner"),
        (FAIL, "course_result", {"mean": 1.0}, "Struggling Novice"),
        (DISTINCTION, "course_result", {"mean": 0.0}, "Fast Tracker"),
        (PASS, "course_result", {"mean": 1.0}, "Fast Tracker"),
        (PASS, "course_result", {"mean": 0.25}, "Persistent Striver"),
        (PASS, "course_result", {"mean": 0.25, "gap": 0.5}, "Overconfident Learner"),
        (PASS, "course_result", {"attempts": 0, "mean": 0}, "Steady Achiever"),
    ],
)
def test_from_what_ended_the_wait(
    occurred: LearnerEvent, known_by: LabelledBy, known: dict[str, object], label: str
) -> None:
    assert learner_label(pending(**known), occurred, known_by) == label


@pytest.mark.parametrize(
    ("occurred", "known_by", "known", "better"),
    [
        (ANSWER, "next_attempts", {"mean": 0.5625}, True),
        (ANSWER, "next_attempts", {"mean": 0.53}, False),
        (ANSWER, "next_attempts", {"mean": 0.92, "score_before": 1.0}, True),
        (ANSWER, "next_attempts", {"mean": 0.89, "score_before": 0.875}, False),
        (ANSWER, "next_attempts", {"mean": 0.1, "strategy": "Re-engagement Outreach"}, True),
        (ANSWER, "silence", {"mean": 1.0}, False),
        (ANSWER, "silence", {"mean": 1.0, "strategy": "Re-engagement Outreach"}, False),
        (PASS, "course_result", {"mean": 0.0}, True),
        (DISTINCTION, "course_result", {"mean": 0.0}, True),
        (FAIL, "course_result", {"mean": 1.0}, False),
        (WITHDRAWN, "course_result", {"mean": 1.0}, False),
    ],
)
def test_whether_the_strategy_was_followed_by_something_better(
    occurred: LearnerEvent, known_by: LabelledBy, known: dict[str, object], better: bool
) -> None:
    assert helped(pending(**known), occurred, known_by) is better


@pytest.mark.parametrize(
    ("occurred", "known_by", "known", "strategy"),
    [
        (ANSWER, "next_attempts", {"mean": 0.5625, "strategy": "Encouragement"}, "Encouragement"),
        (ANSWER, "next_attempts", {"mean": 0.25}, "Scaffolded Remediation"),
        (ANSWER, "next_attempts", {"mean": 0.25, "gap": 0.5}, "Confidence Calibration"),
        (ANSWER, "silence", {"mean": 1.0}, "Re-engagement Outreach"),
        (FAIL, "course_result", {"mean": 1.0}, "Scaffolded Remediation"),
    ],
)
def test_a_strategy_that_helped_was_right_otherwise_what_was_needed(
    occurred: LearnerEvent, known_by: LabelledBy, known: dict[str, object], strategy: str
) -> None:
    assert right_strategy(pending(**known), occurred, known_by) == strategy


def test_every_label_needs_some_strategy_and_every_strategy_is_needed() -> None:
    assert set(NEEDED) == set(LABELS["primary_classification"])
    assert set(NEEDED.values()) == set(LABELS["intervention_strategy"])
