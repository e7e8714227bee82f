"""Topics and skills: scores, flags, what to go over again, and what is forgotten."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from strategies import START, USERS, event

from schemas.engagement import (
    CONFIDENCE_WINDOW,
    SKILLS_WINDOW,
    TOPICS_WINDOW,
    Engagement,
    Tally,
)
from schemas.event import LearnerEvent
from schemas.profile import Profile
from streams.engagement import fold_engagement
from streams.topics import needs_redo


def fold(*events: LearnerEvent) -> Engagement:
    engagement = Engagement(USERS[0], "algebra")
    for one in events:
        engagement = fold_engagement(engagement, one, Profile(USERS[0]))
    return engagement


def hours(n: float) -> datetime:
    return START + timedelta(hours=n)


def answer(score: float, topic: str = "sets", at: datetime = START, **more: object) -> LearnerEvent:
    return event("quiz.submitted", at, question_id="q", score=score, topic_id=topic, **more)


def test_topic_scores_are_percentages_and_skill_scores_out_of_ten() -> None:
    engagement = fold(
        answer(1.0, skill_tag="proof"), answer(0.5, skill_tag="proof"), answer(0.25, "maps")
    )
    assert engagement.topic_scores == {"sets": 75.0, "maps": 25.0}
    assert engagement.topic_tallies == {"sets": Tally(2, 1.5), "maps": Tally(1, 0.25)}
    assert engagement.skill_scores == {"proof": 7.5}
    assert engagement.skill_tallies == {"proof": Tally(2, 1.5)}


@pytest.mark.parametrize(
    ("flagged", "tally", "redo"),
    [
        (False, None, False),
        (True, None, True),
        (False, Tally(1, 0.0), False),
        (True, Tally(1, 1.0), True),
        (False, Tally(2, 0.75), True),  # 0.375
        (False, Tally(2, 1.0), False),  # 0.5
        (True, Tally(2, 1.0), True),
        (True, Tally(4, 2.75), True),  # 0.6875
        (True, Tally(4, 3.0), False),  # 0.75
    ],
)
def test_which_topics_to_go_over_again(flagged: bool, tally: Tally | None, redo: bool) -> None:
    assert needs_redo(flagged, tally) is redo


def test_redo_topics_come_and_go() -> None:
    events = [answer(0.0), answer(0.5), answer(1.0)]
    assert fold(*events[:1]).redo_topics == ()
    assert fold(*events[:2]).redo_topics == ("sets",)
    assert fold(*events).redo_topics == ()  # 0.5
    flagged = event("topic.flagged", topic_id="sets", flagged_type="confusing")
    assert fold(*events, flagged).redo_topics == ("sets",)
    assert fold(flagged, *events, answer(1.0), answer(1.0)).redo_topics == ()  # 0.7
    assert fold(flagged, *events, answer(1.0), answer(1.0)).flagged_topics == ("sets",)


@pytest.mark.parametrize(
    ("flagging", "flagged"),
    [
        (event("topic.flagged", topic_id="sets", flagged_type="confusing"), True),
        (event("topic.flagged", topic_id="sets", flagged_type="needs_revision"), True),
        (event("topic.flagged", topic_id="sets", flagged_type="too_hard"), True),
        (event("topic.flagged", topic_id="sets", flagged_type="too_easy"), False),
        (event("topic.flagged", topic_id="sets", flagged_type="interesting"), False),
        (event("survey.answered", survey_id="w", flagged_topics=["sets"]), True),
        *(
            (
                event(
                    "chat.message",
                    session_id="s",
                    message_direction="user",
                    message_text="",
                    contextual_topic_id="sets",
                    feedback_flags=[flag],
                ),
                flagged,
            )
            for flag, flagged in (("needs revision", True), ("confusing", True), ("nice", False))
        ),
    ],
)
def test_what_flags_a_topic(flagging: LearnerEvent, flagged: bool) -> None:
    assert fold(flagging).flagged_topics == (("sets",) if flagged else ())


def test_the_topics_touched_latest_are_kept() -> None:
    topics = [f"t{i:02}" for i in range(TOPICS_WINDOW + 1)]
    events = [
        answer(0.0, "t00", hours(0), confidence=0.25),
        answer(0.0, "t00", hours(0), confidence=0.5),
        event("topic.flagged", hours(0), topic_id="t00", flagged_type="too_hard"),
        *(answer(1.0, topic, hours(i)) for i, topic in enumerate(topics[1:], start=1)),
    ]
    before, after = fold(*events[:-1]), fold(*events)
    for name in ("topic_recency", "topic_scores", "topic_tallies", "confidence_score_by_topic"):
        assert "t00" in getattr(before, name)
        assert "t00" not in getattr(after, name)
    assert (before.redo_topics, before.flagged_topics) == (("t00",), ("t00",))
    assert (after.redo_topics, after.flagged_topics) == ((), ())
    assert [t.topic_id for t in before.confidence_score_trends] == ["t00"]
    assert after.confidence_score_trends == ()
    assert sorted(after.topic_scores) == topics[1:]
    touched = event("confidence.reported", hours(20), topic_id="t00", confidence=1)
    spared = fold(*events[:-1], touched, events[-1])
    assert "t00" in spared.topic_scores
    assert "t01" not in spared.topic_scores


def test_a_topic_older_than_all_that_are_kept_leaves_no_trace() -> None:
    kept = [answer(1.0, f"t{i:02}", hours(i + 1)) for i in range(TOPICS_WINDOW)]
    full = fold(*kept)
    for late in (
        event("topic.flagged", hours(0), topic_id="old", flagged_type="too_hard"),
        event("confidence.reported", hours(0), topic_id="old", confidence=1),
        answer(0.0, "old", hours(0)),
    ):
        after = fold_engagement(full, late, Profile(USERS[0]))
        for name in ("topic_recency", "topic_scores", "flagged_topics", "confidence_reports"):
            assert getattr(after, name) == getattr(full, name)


def test_the_skills_practised_latest_are_kept() -> None:
    events = [
        answer(1.0, "sets", hours(i), skill_tag=f"skill-{i}") for i in range(SKILLS_WINDOW + 2)
    ]
    for order in (events, list(reversed(events))):
        engagement = fold(*order)
        kept = {f"skill-{i}" for i in range(2, SKILLS_WINDOW + 2)}
        assert set(engagement.skill_scores) == kept
        assert set(engagement.skill_tallies) == kept
        assert set(engagement.skill_recency) == kept


def test_a_forgotten_topic_gets_no_trend_when_its_reports_leave_the_window() -> None:
    def told(n: float, topic: str) -> LearnerEvent:
        return event("confidence.reported", hours(n), topic_id=topic, confidence=0.5)

    topics = [f"t{i:02}" for i in range(TOPICS_WINDOW)]
    engagement = fold(
        *(told(0, "old") for _ in range(3)),
        *(answer(1.0, topic, hours(1)) for topic in topics),
        *(told(2, topic) for topic in topics[: CONFIDENCE_WINDOW - 2]),
    )
    assert [r.topic_id for r in engagement.confidence_reports].count("old") == 2
    assert engagement.confidence_score_trends == ()
