"""The responder that needs no network: answers from the learner's strategy and course figures.

An answer is a function of the message's record and the turns before it. It varies with the
message's ``event_id``, so the same message always gets the same answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from hashlib import sha1
from typing import NamedTuple, get_args

from chat.built_in_intent import Intent, intent_of
from chat.built_in_words import (
    AFTER_HINT,
    DISTRESS,
    FORMATS,
    INTRODUCTION,
    NO_TOPIC,
    OPENINGS,
    STEPS,
)
from chat.responder import BUILT_IN, Part, Start, Turn
from schemas.chat import ChatRecord
from schemas.fields import StrategyLabel
from schemas.prompt import PromptFigures
from streams.quoted_names import quoted

_STRATEGIES: tuple[StrategyLabel, ...] = get_args(StrategyLabel)
_UNDECIDED: StrategyLabel = "Encouragement"
_WITH_FORMAT: frozenset[Intent] = frozenset(("confused", "next", "question"))
_APART = 0.1
"""By how much confidence and results may differ and still agree."""


class Reply(NamedTuple):
    """``sentences`` follow one another with a space, ``hint_used``: they are a hint."""

    sentences: tuple[str, ...]
    hint_used: bool


class BuiltIn:
    """The built-in responder; has no state."""

    async def answer(self, turn: Turn) -> AsyncGenerator[Part, None]:
        answer = reply(turn)
        yield Start(BUILT_IN, answer.hint_used)
        for number, sentence in enumerate(answer.sentences):
            yield f" {sentence}" if number else sentence


def reply(turn: Turn) -> Reply:
    """The whole answer: who speaks (once a session), what was asked about, and a next step."""
    record = turn.record
    intent = intent_of(record)
    if intent == "distress":
        return Reply((DISTRESS,), hint_used=False)
    strategy, level = _strategy(record), record.figures.learner_level or "intermediate"
    sentences = []
    if intent == "who-are-you" or BUILT_IN not in {said.responder for said in turn.recent}:
        sentences.append(INTRODUCTION[level])
    if intent == "progress":
        sentences += progress(record.figures)
    else:
        opening = _chosen(OPENINGS[intent], record, "opening")
        sentences.append(opening.format(topic=_topic(record, review=False)))
    if intent == "hint":
        return Reply((*sentences, AFTER_HINT), hint_used=True)
    step = _chosen(STEPS[strategy][level], record, "step")
    sentences.append(step.format(topic=_topic(record, review=strategy == "Spaced Review")))
    if intent in _WITH_FORMAT and record.figures.best_format:
        sentences.append(f"What suits you best so far: {FORMATS[record.figures.best_format]}.")
    return Reply(tuple(sentences), hint_used=False)


def progress(figures: PromptFigures) -> list[str]:
    """How the learner is doing, from the figures that there are."""
    told = []
    results, confidence = figures.performance, figures.confidence
    if results is None:
        told.append("I have no graded answers of yours yet, so I can't tell how you are doing.")
    else:
        told.append(f"Your latest answers come to {results:.0%}.")
        if confidence is not None:
            told.append(_compared(confidence, results))
    if figures.weakest_topics:
        topics = [f"{quoted(t.topic_id)} ({t.percentage:.0f}%)" for t in figures.weakest_topics]
        told.append(f"Most is to be gained in {_listed(topics)}.")
    if figures.redo_topics:
        told.append(f"To look at again: {_listed([quoted(t) for t in figures.redo_topics])}.")
    return told


def _compared(confidence: float, results: float) -> str:
    said = f"You felt {confidence:.0%} sure"
    if confidence - results >= _APART:
        return f"{said}: surer than the answers bear out, so check before you trust a first idea."
    if results - confidence >= _APART:
        return f"{said}: you can do more than you think."
    return f"{said}: you judge yourself well."


def _strategy(record: ChatRecord) -> StrategyLabel:
    label = record.labels.get("intervention_strategy")
    return next((name for name in _STRATEGIES if name == label), _UNDECIDED)


def _topic(record: ChatRecord, *, review: bool) -> str:
    """What to work on: the topic of the moment, but for a review what is to be reviewed."""
    figures = record.figures
    now = [name for name in (record.contextual_topic_id, figures.topic_id) if name]
    weak = [topic.topic_id for topic in figures.weakest_topics]
    redo = [*figures.redo_topics]
    names = [*redo, *weak, *now] if review else [*now, *weak, *redo]
    return quoted(names[0]) if names else NO_TOPIC


def _chosen(of: Sequence[str], record: ChatRecord, what: str) -> str:
    digest = sha1(f"{record.event_id} {what}".encode(), usedforsecurity=False).digest()
    return of[digest[0] % len(of)]


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
