"""What a prompt may say of a learner, worked out by hand from the states."""

from __future__ import annotations

from typing import Any

import pytest
from example_learners.algebra import COURSE, PROFILE, answer, engagement, event, quiz
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.engagement import Engagement, Tally
from schemas.event import LearnerEvent
from schemas.prompt import PromptFigures, TopicFigure
from streams.figures import prompt_figures, topic_of

EMPTY = PromptFigures(COURSE, "", None, (), (), None, None, None, "unknown")


def figures(state: Engagement, given: LearnerEvent | None = None) -> PromptFigures:
    return prompt_figures(PROFILE, state, given or event("hint.requested"))


def test_of_somebody_of_whom_nothing_is_known() -> None:
    assert figures(engagement()) == EMPTY


def test_everything_at_once_by_hand() -> None:
    state = engagement(
        quiz_attempts=(answer(0.0), *(answer(s, 1, c) for s, c in ANSWERS)),
        topic_scores={"roots": 40.0, "powers": 90.0, "signs": 10.0, "graphs": 40.0},
        redo_topics=("signs", "roots", "graphs", "powers"),
        format_tallies={"text": Tally(2, 1.0), "video": Tally(2, 1.5)},
    )
    profile = replace(
        PROFILE,
        learner_level="basic",
        format_preference="image",
        writing_style_category="concise",
    )
    assert prompt_figures(profile, state, quiz(0.5, topic_id="roots")) == PromptFigures(
        course_id=COURSE,
        topic_id="roots",
        learner_level="basic",
        weakest_topics=(
            TopicFigure("signs", 10.0),
            TopicFigure("graphs", 40.0),
            TopicFigure("roots", 40.0),
        ),
        redo_topics=("signs", "roots", "graphs"),
        confidence=0.75,
        performance=0.5,
        best_format="video",
        writing_style="concise",
    )


ANSWERS = ((0.5, None), (0.25, 1.0), (0.75, None), (1.0, 0.5), (0.0, None))


def test_confidence_told_by_topic_counts_where_no_answer_has_any() -> None:
    topics = {"roots": 0.5, "powers": 1.0}
    state = engagement(quiz_attempts=(answer(0.5),), confidence_score_by_topic=topics)
    assert figures(state).confidence == 0.75
    told = engagement(quiz_attempts=(answer(0.5, 0, 0.25),), confidence_score_by_topic=topics)
    assert figures(told).confidence == 0.25


def test_the_format_preferred_counts_where_no_format_has_results() -> None:
    profile = replace(PROFILE, format_preference="image")
    assert prompt_figures(profile, engagement(), quiz(1.0)).best_format == "image"
    tallies: dict[Any, Tally] = {"text": Tally(0, 0.0), "video": Tally(0, 0.0)}
    untried = engagement(format_tallies=tallies)
    assert prompt_figures(profile, untried, quiz(1.0)).best_format == "image"


def test_of_formats_with_equal_results_it_is_always_the_same() -> None:
    tallies: dict[Any, Tally] = {"video": Tally(1, 1.0), "image": Tally(2, 2.0)}
    assert figures(engagement(format_tallies=tallies)).best_format == "image"
    reordered = dict(reversed(tallies.items()))
    assert figures(engagement(format_tallies=reordered)).best_format == "image"


@pytest.mark.parametrize(
    ("given", "topic"),
    [
        (event("topic.changed", topic_id="roots"), "roots"),
        (quiz(0.5), None),
        (event("course.enrolled"), None),
        (
            event(
                "chat.message",
                session_id="s",
                message_direction="user",
                message_text="Why?",
                contextual_topic_id="signs",
            ),
            "signs",
        ),
    ],
)
def test_the_topic_is_the_one_that_the_event_names(given: LearnerEvent, topic: str | None) -> None:
    assert topic_of(given) == topic
    assert figures(engagement(), given).topic_id == (topic or "")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_means_stay_in_their_range(scores: list[float]) -> None:
    state = engagement(quiz_attempts=tuple(answer(s, 0, s) for s in scores))
    found = figures(state)
    assert found.performance is not None
    assert 0 <= found.performance <= 1
    assert found.confidence == found.performance
