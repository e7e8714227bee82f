"""The features a tree may ask about: what `input_attributes` of a decision holds."""

from __future__ import annotations

from typing import NamedTuple


class Feature(NamedTuple):
    """``low``–``high`` is the range the value always lies in.

    ``meaning`` is for people: what it is, then after ";" what holds when nothing is known.
    ``decimals``: how many of them tell something; 0 for whole numbers.
    """

    name: str
    low: float
    high: float
    meaning: str
    decimals: int = 2


FEATURES: tuple[Feature, ...] = (
    Feature("attempts", 0, 1e6, "graded answers in the course", 0),
    Feature(
        "objective_score", 0, 1, "mean score over all graded answers in the course; 0.5 before any"
    ),
    Feature("recent_score", 0, 1, "mean score of the latest five graded answers; 0.5 before any"),
    Feature(
        "score_trend", -1, 1, "change of score per answer over the latest ten; 0 before three", 3
    ),
    Feature("weakest_topic_score", 0, 1, "lowest mean score of a topic; objective_score if none"),
    Feature("weakest_skill_score", 0, 10, "lowest skill score; ten times objective_score if none"),
    Feature("confidence_score", 0, 1, "mean of the latest confidence told by topic; 0.5 if none"),
    Feature("confidence_gap", -1, 1, "confidence less score; 0 unless both are known"),
    Feature("confidence_trend", -1, 1, "mean change of confidence per report; 0 if none", 3),
    Feature("hint_rate", 0, 10, "hints per graded answer"),
    Feature("retry_rate", 0, 1000, "retries per graded answer"),
    Feature("pmi", -20, 20, "bits by which confidence and correctness go together"),
    Feature("redo_topics", 0, 1000, "topics flagged for review", 0),
    Feature("format_mismatch", -4, 4, "largest comfort less performance of a format; 0 if none"),
    Feature("answers_per_day", 0, 1e6, "graded answers per day in the course so far"),
    Feature("hours_since_previous", 0, 1e6, "hours between this and the previous activity"),
    Feature("days_in_course", 0, 1e5, "days since enrolment or first activity"),
    Feature("retention_span_minutes", 0, 1e6, "mean length of a session, minutes"),
    Feature("exploratory_behavior_score", 0, 1, "share of module changes off the intended path"),
    Feature("avg_score", 0, 1, "mean score over all courses; 0.5 before any"),
    Feature("total_courses", 0, 1e4, "courses the learner has been active in", 0),
    Feature("gpa", 0, 4, "grade point average; 2.5 when not told"),
    Feature(
        "learner_level", 0, 2, "learner level; 0 basic, 1 intermediate or not told, 2 advanced", 0
    ),
    Feature("previous_courses", 0, 1000, "courses completed before; 0 when not told", 0),
)

FEATURE_NAMES: tuple[str, ...] = tuple(f.name for f in FEATURES)
FEATURE_INDEX: dict[str, int] = {name: i for i, name in enumerate(FEATURE_NAMES)}
