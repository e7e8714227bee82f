"""Each feature by hand, and all of them in their range whatever the states hold."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from example_learners.algebra import COURSE, USER, answer, day, engagement
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.behavior import Behavior
from schemas.engagement import ConfidenceTrend, Engagement, FormatMatch, QuizAttempt
from schemas.feature import FEATURE_INDEX, FEATURES
from schemas.profile import Profile
from streams.features import extract

STATES = (
    Profile(USER, gpa=3.1, learner_level="advanced", courses_completed=4),
    Behavior(
        USER,
        retention_span=1500.0,
        exploratory_behavior_score=0.25,
        avg_score=0.7,
        graded_attempts=9,
        total_courses=2,
    ),
    engagement(
        quiz_attempts=(
            answer(1.0, 1),
            answer(0.0, 2, confidence=0.5),
            answer(0.2, 3),
            answer(0.4, 4, confidence=0.9),
            answer(0.6, 5),
            answer(0.8, 6),
        ),
        attempts=8,
        score_sum=4.0,
        retries=6,
        hints=2,
        topic_scores={"lines": 30.0, "roots": 75.0},
        skill_scores={"factoring": 4.5, "graphing": 8.0},
        confidence_score_by_topic={"lines": 0.9, "roots": 0.4, "limits": 0.2},
        confidence_score_trends=(ConfidenceTrend("lines", 0.3), ConfidenceTrend("roots", -0.1)),
        PMI=-0.5,
        redo_topics=("lines", "limits"),
        format_performance_mismatch={"text": FormatMatch(2.0, 3.5), "video": FormatMatch(5.0, 2.0)},
        enrolled_at=day(-4),
        first_activity_at=day(0),
    ),
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attempts", 8),
        ("objective_score", 0.5),  # 4 / 8
        ("recent_score", 0.4),  # (0 + .2 + .4 + .6 + .8) / 5
        # places −2.5 … 2.5: −2.5·1 − 1.5·0 − 0.5·.2 + 0.5·.4 + 1.5·.6 + 2.5·.8 = 0.5, over 17.5
        ("score_trend", 0.5 / 17.5),
        ("weakest_topic_score", 0.3),
        ("weakest_skill_score", 4.5),
        ("confidence_score", 0.5),  # (.9 + .4 + .2) / 3
        ("confidence_gap", 0.5),  # ((.5 − 0) + (.9 − .4)) / 2, the two answers with a confidence
        ("confidence_trend", 0.1),  # (.3 − .1) / 2
        ("hint_rate", 0.25),
        ("retry_rate", 0.75),
        ("pmi", -0.5),
        ("redo_topics", 2),
        ("format_mismatch", 3),  # video: 5 − 2; text: −1.5
        ("answers_per_day", 0.8),  # 8 in 10 days
        ("hours_since_previous", 6),
        ("days_in_course", 10),  # since enrolment on day −4
        ("retention_span_minutes", 25),
        ("exploratory_behavior_score", 0.25),
        ("avg_score", 0.7),
        ("total_courses", 2),
        ("gpa", 3.1),
        ("learner_level", 2),
        ("previous_courses", 4),
    ],
)
def test_by_hand(name: str, value: float) -> None:
    features = extract(*STATES, day(6), day(5.75))
    assert len(features) == len(FEATURES)
    assert features[FEATURE_INDEX[name]] == pytest.approx(value)


UNKNOWN = {
    "objective_score": 0.5,
    "recent_score": 0.5,
    "weakest_topic_score": 0.5,
    "weakest_skill_score": 5.0,
    "confidence_score": 0.5,
    "avg_score": 0.5,
    "gpa": 2.5,
    "learner_level": 1.0,
}


def test_of_somebody_unknown() -> None:
    features = extract(Profile(USER), Behavior(USER), Engagement(USER, COURSE), day(0), None)
    assert dict(zip(FEATURE_INDEX, features, strict=True)) == {
        name: UNKNOWN.get(name, 0.0) for name in FEATURE_INDEX
    }


def test_topics_tell_the_gap_where_no_answer_does() -> None:
    state = engagement(
        quiz_attempts=(answer(0.5),),
        topic_scores={"lines": 30.0, "roots": 75.0},
        confidence_score_by_topic={"lines": 0.9, "roots": 0.55, "limits": 1.0},
    )
    features = extract(Profile(USER), Behavior(USER), state, day(0), None)
    assert features[FEATURE_INDEX["confidence_gap"]] == pytest.approx(0.2)  # (.6 − .2) / 2


def test_two_answers_make_no_trend() -> None:
    state = engagement(quiz_attempts=(answer(0.0), answer(1.0)))
    features = extract(Profile(USER), Behavior(USER), state, day(0), None)
    assert features[FEATURE_INDEX["score_trend"]] == 0.0


def test_only_the_latest_ten_answers_make_the_trend() -> None:
    old = tuple(answer(1.0) for _ in range(10))
    flat = tuple(answer(0.25) for _ in range(10))
    features = extract(
        Profile(USER), Behavior(USER), engagement(quiz_attempts=old + flat), day(0), None
    )
    assert features[FEATURE_INDEX["score_trend"]] == 0.0


def test_a_first_day_counts_as_a_whole_one() -> None:
    state = engagement(attempts=3, first_activity_at=day(0))
    features = extract(Profile(USER), Behavior(USER), state, day(0.01), None)
    assert features[FEATURE_INDEX["answers_per_day"]] == 3.0
    assert features[FEATURE_INDEX["days_in_course"]] == pytest.approx(0.01)


def test_a_late_event_is_no_time_after_what_came_later() -> None:
    state = engagement(attempts=3, enrolled_at=day(5))
    features = extract(Profile(USER), Behavior(USER), state, day(2), day(6))
    assert features[FEATURE_INDEX["hours_since_previous"]] == 0.0
    assert features[FEATURE_INDEX["days_in_course"]] == 0.0
    assert features[FEATURE_INDEX["answers_per_day"]] == 3.0


unit = st.floats(0, 1)
large = st.floats(0, 1e300)
counts = st.integers(0, 10**9)
times = st.integers(0, 4_000_000).map(lambda minutes: day(0) + timedelta(minutes=minutes))
names = st.sampled_from(["a", "b", "c"])
answers = st.builds(
    QuizAttempt,
    question_id=st.just("q"),
    score=unit,
    skill_tag=st.none(),
    objective_tag=st.none(),
    retries=counts,
    hint_used=st.booleans(),
    topic_id=names,
    confidence=st.none() | unit,
    timestamp=times,
)
engagements = st.builds(
    Engagement,
    user_id=st.just(USER),
    course_id=st.just(COURSE),
    quiz_attempts=st.lists(answers, max_size=12).map(tuple),
    confidence_score_by_topic=st.dictionaries(names, unit),
    confidence_score_trends=st.lists(
        st.builds(ConfidenceTrend, names, st.floats(-1, 1)), max_size=3
    ).map(tuple),
    redo_topics=st.lists(names, max_size=3).map(tuple),
    topic_scores=st.dictionaries(names, st.floats(0, 100)),
    skill_scores=st.dictionaries(names, st.floats(0, 10)),
    PMI=st.floats(-1e9, 1e9),
    format_performance_mismatch=st.dictionaries(
        st.sampled_from(["text", "video"]),
        st.builds(FormatMatch, st.floats(1, 5), st.floats(1, 5)),
    ),
    attempts=counts,
    score_sum=large,
    retries=counts,
    hints=counts,
    enrolled_at=st.none() | times,
    first_activity_at=st.none() | times,
)
behaviors = st.builds(
    Behavior,
    user_id=st.just(USER),
    retention_span=large,
    exploratory_behavior_score=unit,
    total_courses=counts,
    avg_score=unit,
    graded_attempts=counts,
)
profiles = st.builds(
    Profile,
    user_id=st.just(USER),
    gpa=st.none() | st.floats(0, 4),
    learner_level=st.sampled_from([None, "basic", "intermediate", "advanced"]),
    courses_completed=st.none() | st.integers(0, 1000),
)


@settings(deadline=None, max_examples=200)
@given(profiles, behaviors, engagements, times, st.none() | times)
def test_always_a_finite_float_in_its_range(profile, behavior, state, at, previous_at) -> None:  # type: ignore[no-untyped-def]
    values = extract(profile, behavior, state, at, previous_at)
    for feature, value in zip(FEATURES, values, strict=True):
        assert type(value) is float, feature.name
        assert math.isfinite(value), feature.name
        assert feature.low <= value <= feature.high, feature.name
