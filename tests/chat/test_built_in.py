"""The built-in responder: says what it is, answers what was asked, gives a next step."""

from __future__ import annotations

import asyncio
import socket
from itertools import product
from string import Formatter
from typing import Any, get_args

import pytest
from example_chat.conversation import said
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from chat.built_in import BuiltIn, progress, reply
from chat.built_in_intent import Intent, intent_of
from chat.built_in_words import DISTRESS, FORMATS, INTRODUCTION, NO_TOPIC, OPENINGS, STEPS
from chat.responder import BUILT_IN, MAX_ANSWER_CHARACTERS, Said, Turn
from responder_suite.contract_tests import FIGURES, ResponderContract, asks, parts_of
from schemas.fields import LABELS, Format, LearnerLevel
from schemas.prompt import PromptFigures, TopicFigure

STRATEGIES = LABELS["intervention_strategy"]
LEVELS: tuple[LearnerLevel, ...] = get_args(LearnerLevel)
SPOKEN = (Said("user", "hi"), Said("system", "Hello!", BUILT_IN))
NOTHING = PromptFigures("", "", None, (), (), None, None, None, "unknown")


def text_of(turn: Turn) -> str:
    return " ".join(reply(turn).sentences)


def figures(**changes: Any) -> PromptFigures:
    return PromptFigures(**{**asdict(FIGURES), **changes})


class TestBuiltIn(ResponderContract):
    seconds = 1.0

    @pytest.fixture
    def responder(self) -> BuiltIn:
        return BuiltIn()


ASKED: dict[str, Intent] = {
    "Hi!": "greeting",
    "good morning": "greeting",
    "hi, can you give me a hint?": "hint",
    "Any clue how to start?": "hint",
    "I don't want a hint": "question",
    "I dont get it": "confused",
    "I'm stuck, help!": "confused",
    "I'm not confused": "question",
    "How am I doing?": "progress",
    "what are my weakest topics": "progress",
    "What should I do next?": "next",
    "what next": "next",
    "this is too easy": "too-easy",
    "ah, got it": "understood",
    "thank you so much": "thanks",
    "thanks, what should I do next?": "next",
    "no thanks": "question",
    "Are you a bot?": "who-are-you",
    "are you human": "who-are-you",
    "I want to kill myself": "distress",
    "this could kill me": "question",
    "Why is 3/4 more than 2/3?": "question",
    "¿por qué?": "question",
    "": "question",
}


@pytest.mark.parametrize(("text", "intent"), ASKED.items(), ids=ASKED)
def test_what_a_message_asks(text: str, intent: Intent) -> None:
    assert intent_of(said(1, text).record) == intent


def test_what_others_found_in_a_message_counts_too() -> None:
    assert intent_of(said(1, "hm", hint_used=True).record) == "hint"
    assert intent_of(said(1, "hm", feedback_flags=("too_hard",)).record) == "confused"
    assert intent_of(said(1, "hm", feedback_flags=("interesting",)).record) == "question"


def test_every_intent_level_and_strategy_has_words() -> None:
    without = {"distress", "progress"}
    assert set(OPENINGS) == set(get_args(Intent)) - without
    assert set(INTRODUCTION) == set(LEVELS)
    assert set(FORMATS) == set(get_args(Format))
    assert set(STEPS) == set(STRATEGIES)
    assert all(set(by_level) == set(LEVELS) for by_level in STEPS.values())
    for sentences in (*OPENINGS.values(), *(s for steps in STEPS.values() for s in steps.values())):
        for sentence in sentences:
            assert {name for _, name, _, _ in Formatter().parse(sentence)} <= {None, "topic"}
    steps = [s for by_level in STEPS.values() for of in by_level.values() for s in of]
    assert len(set(steps)) == len(steps) == 42
    assert all("{topic}" in step for step in steps)


def test_easy_words_are_short_sentences() -> None:
    steps = [s for by_level in STEPS.values() for s in by_level["basic"]]
    for sentence in (*steps, INTRODUCTION["basic"]):
        for part in sentence.replace("?", ".").replace(":", ".").split("."):
            assert len(part.split()) <= 16, part


@pytest.mark.parametrize(("strategy", "level"), list(product(STRATEGIES, LEVELS)))
def test_the_next_step_is_the_strategys_at_the_learners_level(
    strategy: str, level: LearnerLevel
) -> None:
    turn = asks(labels={"intervention_strategy": strategy}, figures=figures(learner_level=level))
    steps = STEPS[strategy][level]  # type: ignore[index]
    shown = {
        step.format(topic=f'"{topic}"') for step in steps for topic in ("fractions", "decimals")
    }
    assert any(step in text_of(turn) for step in shown)


def test_it_says_once_a_session_what_it_is() -> None:
    new, later = asks(), asks()._replace(recent=SPOKEN)
    after_others = asks()._replace(recent=(Said("user", "hi"), Said("system", "Yes?", "llm:x")))
    introduction = INTRODUCTION["basic"]
    assert introduction in text_of(new)
    assert introduction in text_of(after_others)
    assert introduction not in text_of(later)
    assert introduction in text_of(asks("are you a person?")._replace(recent=SPOKEN))


def test_only_a_hint_is_a_hint() -> None:
    assert reply(asks("a hint, please")).hint_used
    for text, intent in ASKED.items():
        assert reply(asks(text)).hint_used == (intent == "hint"), text


def test_who_is_in_distress_is_told_where_to_turn_and_nothing_else() -> None:
    assert reply(asks("I want to die")).sentences == (DISTRESS,)


def test_a_review_is_of_what_is_to_be_reviewed() -> None:
    review = text_of(asks("what next", labels={"intervention_strategy": "Spaced Review"}))
    other = text_of(asks("what next", labels={"intervention_strategy": "Worked Examples"}))
    assert '"decimals"' in review
    assert '"decimals"' not in other
    assert '"fractions"' in other


def test_where_nothing_is_known_it_speaks_of_what_is_done_now() -> None:
    assert NO_TOPIC in text_of(asks("what next", figures=NOTHING, labels={}))


def test_the_best_format_is_named_where_it_helps() -> None:
    assert FORMATS["video"] in text_of(asks("what next"))
    assert FORMATS["video"] not in text_of(asks("thanks"))
    assert "suits you" not in text_of(asks("what next", figures=figures(best_format=None)))


def test_how_the_learner_is_doing() -> None:
    told = " ".join(progress(FIGURES))
    assert told == (
        "Your latest answers come to 40%. You felt 80% sure: surer than the answers bear out, so "
        "check before you trust a first idea. Most is to be gained in "
        '"fractions" (31%) and "lines" (48%). To look at again: "decimals".'
    )
    assert "more than you think" in " ".join(progress(figures(confidence=0.2)))
    assert "judge yourself well" in " ".join(progress(figures(confidence=0.45)))
    three = tuple(TopicFigure(name, 50.0) for name in "abc")
    assert '"a" (50%), "b" (50%) and "c" (50%)' in " ".join(progress(figures(weakest_topics=three)))
    assert progress(NOTHING) == [
        "I have no graded answers of yours yet, so I can't tell how you are doing."
    ]


def test_the_same_message_gets_the_same_answer_and_others_another() -> None:
    again = {text_of(asks("why?")) for _ in range(5)}
    others = {text_of(Turn(said(number, "why?", figures=FIGURES).record)) for number in range(40)}
    assert len(again) == 1
    assert len(others) >= 4


def test_names_from_outside_stay_names() -> None:
    bad = 'x" {topic} <b>\n\u202eignore\u200b {0.__class__}' + "y" * 300
    turn = asks(
        "how am I doing?",
        contextual_topic_id=bad,
        figures=figures(
            topic_id=bad, weakest_topics=(TopicFigure(bad, 3.0),), redo_topics=(bad,), course_id=bad
        ),
    )
    text = text_of(turn)
    assert text.count('"') == 6
    assert not set("<>{}\n\u202e\u200b") & set(text)


def test_it_says_nothing_of_how_learners_are_classified() -> None:
    names = {name.casefold() for labels in LABELS.values() for name in labels}
    for text, strategy in product(ASKED, STRATEGIES):
        turn = asks(
            text,
            labels={
                "intervention_strategy": strategy, "primary_classification": "Struggling Novice",
            },
            prompt="SECRET PROMPT",
        )  # fmt: skip
        told = text_of(turn).casefold()
        assert "secret" not in told
        assert not [name for name in names if name in told]


@given(
    text=st.text(max_size=300),
    topic=st.none() | st.text(min_size=1, max_size=80),
    strategy=st.sampled_from(STRATEGIES) | st.text(max_size=10),
    confidence=st.none() | st.floats(0, 1),
    performance=st.none() | st.floats(0, 1),
    level=st.none() | st.sampled_from(LEVELS),
    event=st.integers(0, 10_000),
)
def test_there_are_words_for_everything(
    text: str,
    topic: str | None,
    strategy: str,
    confidence: float | None,
    performance: float | None,
    level: LearnerLevel | None,
    event: int,
) -> None:
    told = figures(confidence=confidence, performance=performance, learner_level=level)
    record = said(
        event, text, contextual_topic_id=topic, figures=told,
        labels={"intervention_strategy": strategy},
    ).record  # fmt: skip
    answer = text_of(Turn(record))
    assert answer.strip()
    assert len(answer) < MAX_ANSWER_CHARACTERS / 3
    assert "{" not in answer


async def test_it_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", refused)
    assert await parts_of(BuiltIn(), asks())
