"""`fold_profile` by hand: latest telling wins, writing adds up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from strategies import START, USERS, event

from schemas.profile import Profile, WritingMetrics
from streams.profile import fold_profile

LATER = START + timedelta(days=1)


def fold(*events: object) -> Profile:
    profile = Profile(USERS[0])
    for one in events:
        profile = fold_profile(profile, one)  # type: ignore[arg-type]
    return profile


def test_the_latest_telling_of_each_attribute_wins() -> None:
    early = event("profile.updated", START, age=20, gpa=3.0)
    late = event("profile.updated", LATER, age=21)
    for events in ((early, late), (late, early)):
        profile = fold(*events)
        assert (profile.age, profile.gpa) == (21, 3.0)
        assert profile.changed_at == {"age": LATER, "gpa": START}


def test_at_the_same_instant_the_larger_value_wins() -> None:
    one, other = event("profile.updated", age=20), event("profile.updated", age=21)
    assert fold(one, other) == fold(other, one)
    assert fold(one, other).age == 21


@pytest.mark.parametrize(
    "nothing",
    [
        event("profile.updated"),
        event("course.enrolled"),
        event("feedback.given", rating=4),
        event("chat.message", session_id="s", message_direction="user", message_text="?!"),
        event(
            "chat.message", session_id="s", message_direction="system", message_text="Let me help."
        ),
    ],
    ids=lambda e: e.type,
)
def test_an_event_that_tells_nothing_gives_the_same_object(nothing: object) -> None:
    profile = Profile(USERS[0])
    assert fold_profile(profile, nothing) is profile  # type: ignore[arg-type]


def test_a_stale_telling_gives_the_same_object() -> None:
    profile = fold(event("profile.updated", LATER, age=21))
    assert fold_profile(profile, event("profile.updated", START, age=20)) is profile


def test_messages_and_feedback_add_to_the_writing_metrics() -> None:
    profile = fold(
        event(
            "chat.message", session_id="s", message_direction="user", message_text="I can't do it."
        ),
        event("feedback.given", text="The exercise on fractions needs one more worked example."),
    )
    # 4 + 9 words in two sentences, all different; one pronoun; one contraction.
    assert profile.writing_metrics == WritingMetrics(
        avg_sentence_length=6.5, type_token_ratio=1.0, pronoun_usage=1 / 13, contractions_count=1
    )
    assert profile.writing_totals.texts == 2
    assert profile.writing_style_category == "unknown"


def test_enough_writing_has_a_style() -> None:
    text = "I don't think we're there yet, but I'll try what you said. " * 3
    message = event("chat.message", session_id="s", message_direction="user", message_text=text)
    assert fold(message).writing_style_category == "conversational"
