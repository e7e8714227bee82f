"""Simulated talks: what they tell is what the rules find in their words, and folds take it up."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from config.chat_rules import load_chat_rules
from config.seed_trees import seed_trees
from schemas.fields import WritingStyle
from simulation.chat import mood_of
from simulation.chat_texts import Saying, answered, every_saying, said
from simulation.classroom import simulate
from simulation.traits import draw_traits
from streams.batch import Source
from streams.chat_rules import ChatRules, describe
from streams.decode import Record
from streams.replay import Replay
from streams.rules import Rules
from streams.writing import measure, metrics, style

RULES = ChatRules(load_chat_rules())


@pytest.fixture(scope="module")
def messages() -> list[dict[str, Any]]:
    events = [json.loads(line) for line in simulate(100, 60, 7)]
    return [event for event in events if event["type"] == "chat.message"]


@pytest.mark.parametrize(("_style", "saying"), every_saying(), ids=lambda v: str(v)[:40])
def test_what_a_saying_tells_is_what_its_words_tell(_style: WritingStyle, saying: Saying) -> None:
    told = describe(saying.text, "t", "c", RULES)
    assert saying == Saying(saying.text, told.feedback_flags, told.hint_used, told.confidence)


def test_the_tutor_never_speaks_as_the_learner() -> None:
    rng = random.Random(1)
    for hint in (True, False):
        for _ in range(20):
            assert describe(answered(hint, rng), "t", "c", RULES).confidence is None


@pytest.mark.parametrize("wanted", ["formal-analytical", "conversational", "narrative", "concise"])
def test_talks_keep_the_learners_style(wanted: WritingStyle) -> None:
    rng = random.Random(2)
    traits = draw_traits(rng)
    for recent_score in (0.2, 0.6, 0.95):
        moods = [mood_of(traits, recent_score, rng) for _ in range(25)]
        totals = measure("\n".join(said(mood, wanted, rng).text for mood in moods))
        assert style(metrics(totals), totals) == wanted


@pytest.mark.parametrize(
    ("recent_score", "bias", "persistence", "often", "never"),
    [
        (0.1, 0.0, 0.0, {"confused", "no idea"}, {"too easy", "sure", "interested"}),
        (0.4, 0.0, 2.0, {"stuck", "unsure"}, {"too easy", "sure"}),
        (0.5, 0.45, 0.0, {"sure", "interested"}, {"unsure", "too hard"}),
        (0.95, 0.0, 0.0, {"too easy", "sure"}, {"confused", "no idea", "unsure"}),
        (0.95, -0.6, 0.0, {"too easy", "unsure"}, {"sure"}),
    ],
)
def test_moods_follow_results_and_confidence(
    recent_score: float, bias: float, persistence: float, often: set[str], never: set[str]
) -> None:
    rng = random.Random(3)
    traits = draw_traits(rng)._replace(confidence_bias=bias, persistence=persistence)
    moods = Counter(mood_of(traits, recent_score, rng) for _ in range(400))
    assert all(moods[mood] > 40 for mood in often)  # type: ignore[index]
    assert not never & set(moods)


def test_each_answer_follows_its_question(messages: list[dict[str, Any]]) -> None:
    asked = {m["event_id"]: m for m in messages if m["message_direction"] == "user"}
    answers = [m for m in messages if m["message_direction"] == "system"]
    assert len(answers) > 100
    for answer in answers:
        question = asked[answer["in_reply_to"]]
        assert question["session_id"] == answer["session_id"]
        assert question["user_id"] == answer["user_id"]
        assert question["occurred_at"] < answer["occurred_at"]
        assert question.get("hint_used", False) == answer.get("hint_used", False)
        assert answer["responder"] == "built-in"
        assert {"feedback_flags", "confidence"}.isdisjoint(answer)
    assert len({answer["in_reply_to"] for answer in answers}) == len(answers)


def test_messages_tell_of_everything(messages: list[dict[str, Any]]) -> None:
    flags = Counter(flag for m in messages for flag in m.get("feedback_flags", ()))
    assert set(flags) == {
        "confusing", "needs_revision", "too_hard", "too_easy", "interesting", "thanks",
    }  # fmt: skip
    assert {m.get("confidence") for m in messages} == {None, 0.1, 0.25, 0.9}
    assert sum(m.get("hint_used", False) for m in messages) > 20
    assert all(m["related_skill"] and m["related_objective"] for m in messages)


def test_talks_reach_the_states() -> None:
    replay = Replay(seed_trees(), Rules(), Source("class", 0))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    chat = [line for line in simulate(40, 40, 7) if b'"chat.message"' in line]
    records = [record for batch in replay.feed(
        Record(n, None, line, now) for n, line in enumerate(chat)
    ) for record in batch.chat]  # fmt: skip
    assert len(records) == len(chat)
    courses = [replay.tables.engagement(key) for key in replay.tables.values["engagement"]]
    assert sum(course.hints for course in courses if course) > 5
    assert any(course.redo_topics for course in courses if course)
    assert any(course.confidence_score_by_topic for course in courses if course)
    flags = [replay.tables.behavior(key) for key in replay.tables.values["behavior"]]
    assert any(behavior.content_flags for behavior in flags if behavior)
