"""Confidence by topic, its trend, and how it goes together with being right."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import permutations
from math import log2

import pytest
from strategies import START, USERS, event

from schemas.engagement import CONFIDENCE_WINDOW, CalibrationCounts, ConfidenceTrend, Engagement
from schemas.event import LearnerEvent
from schemas.profile import Profile
from streams.calibration import count_answer, pmi
from streams.confidence import slope
from streams.engagement import fold_engagement


def fold(*events: LearnerEvent) -> Engagement:
    engagement = Engagement(USERS[0], "algebra")
    for one in events:
        engagement = fold_engagement(engagement, one, Profile(USERS[0]))
    return engagement


def hours(n: float) -> datetime:
    return START + timedelta(hours=n)


def told(n: float, confidence: float, topic: str = "sets") -> LearnerEvent:
    return event("confidence.reported", hours(n), topic_id=topic, confidence=confidence)


def answer(n: float, score: float, confidence: float | None = None) -> LearnerEvent:
    return event(
        "quiz.submitted",
        hours(n),
        question_id="q",
        score=score,
        topic_id="sets",
        confidence=confidence,
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], 0.0),
        ([0.5], 0.0),
        ([0.25, 0.75], 0.5),
        ([0.0, 0.5, 1.0], 0.5),
        ([1.0, 0.0], -1.0),
        # places 0–3, mean 1.5: (−1.5·0 − 0.5·1 + 0.5·0 + 1.5·1) / 5
        ([0.0, 1.0, 0.0, 1.0], 0.2),
        ([0.5] * 7, 0.0),
    ],
)
def test_least_squares_slope(values: list[float], expected: float) -> None:
    assert slope(values) == pytest.approx(expected)


def test_the_latest_told_stands_and_the_trend_follows_time() -> None:
    for events in permutations((told(0, 0.0), told(1, 0.5), told(2, 1.0), told(1, 0.25, "maps"))):
        engagement = fold(*events)
        assert engagement.confidence_score_by_topic == {"sets": 1.0, "maps": 0.25}
        assert engagement.confidence_score_trends == (ConfidenceTrend("sets", 0.5),)


def test_surveys_and_answers_tell_confidence_too() -> None:
    engagement = fold(
        event("survey.answered", survey_id="w", confidence_by_topic={"sets": 0.75, "maps": 0.5}),
        answer(1, 1.0, confidence=0.25),
    )
    assert engagement.confidence_score_by_topic == {"sets": 0.25, "maps": 0.5}
    assert engagement.confidence_score_trends == (ConfidenceTrend("sets", -0.5),)


def test_reports_that_leave_the_window_leave_the_trend_and_stay_the_latest_told() -> None:
    engagement = fold(
        told(0, 0.0),
        told(1, 1.0),
        *(told(2 + i, 0.5, "maps") for i in range(CONFIDENCE_WINDOW - 1)),
    )
    assert engagement.confidence_score_trends == (ConfidenceTrend("maps", 0.0),)
    full = fold(*(told(2 + i, 0.5, "maps") for i in range(CONFIDENCE_WINDOW)), told(1, 0.75))
    assert full.confidence_score_by_topic == {"maps": 0.5, "sets": 0.75}
    late = fold_engagement(full, told(0.5, 0.25), Profile(USERS[0]))
    assert late.confidence_score_by_topic == {"maps": 0.5, "sets": 0.75}


@pytest.mark.parametrize(
    ("counts", "bits"),
    [
        (CalibrationCounts(), 0.0),
        # 4.5/6 of … : both 4.5, confident 5, correct 5, total 6
        (CalibrationCounts(4, 0, 0, 0), log2(4.5 * 6 / 25)),
        (CalibrationCounts(3, 0, 0, 3), log2(3.5 * 8 / 16)),
        (CalibrationCounts(0, 3, 3, 0), log2(0.5 * 8 / 16)),  # −2
    ],
)
def test_pmi_with_half_an_answer_in_each_cell(counts: CalibrationCounts, bits: float) -> None:
    assert pmi(counts) == pytest.approx(bits)


def test_confident_and_correct_start_at_a_half() -> None:
    counts = CalibrationCounts()
    for confidence, score in ((0.5, 0.5), (0.5, 0.49), (0.49, 0.5), (0.49, 0.49), (1, 1)):
        counts = count_answer(counts, confidence, score)
    assert counts == CalibrationCounts(2, 1, 1, 1)


def test_an_answer_is_judged_by_its_own_confidence_or_by_the_latest_told_before() -> None:
    assert fold(answer(1, 1.0)).calibration == CalibrationCounts()
    assert fold(told(0, 1.0), answer(1, 1.0)).calibration == CalibrationCounts(1, 0, 0, 0)
    assert fold(told(0, 0.0), answer(1, 1.0)).calibration == CalibrationCounts(0, 0, 1, 0)
    assert fold(told(0, 1.0), answer(1, 0.0, 0.25)).calibration == CalibrationCounts(0, 0, 0, 1)
    # told later than the answer was given: not known then
    assert fold(told(2, 1.0), answer(1, 1.0)).calibration == CalibrationCounts()
    assert fold(told(0, 0.0), told(2, 1.0), answer(1, 1.0)).calibration == CalibrationCounts(
        0, 0, 1, 0
    )
    both = fold(told(0, 1.0), answer(1, 1.0), answer(2, 1.0))
    assert pytest.approx(log2(2.5 * 4 / 9)) == both.PMI


def test_what_was_told_before_the_window_still_judges() -> None:
    others = [told(1 + i, 0.5, "maps") for i in range(CONFIDENCE_WINDOW)]
    assert fold(told(0, 1.0), *others, answer(20, 1.0)).calibration == CalibrationCounts(1, 0, 0, 0)
