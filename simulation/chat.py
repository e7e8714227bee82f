"""A talk with the tutor: what a learner says depends on how it goes and on how sure they feel."""

from __future__ import annotations

import random
from typing import Any

from schemas.fields import MessageDirection
from simulation.chat_texts import Mood, answered, said
from simulation.course import Topic
from simulation.event_writer import EventWriter
from simulation.traits import Traits

TUTOR = "built-in"
GOES_BADLY, GOES_WELL = 0.5, 0.9
"""Mean recent scores below and above which learners say so."""

NO_IDEA, UNSURE, SURE = 0.2, 0.45, 0.85
"""How well one feels to do, 0–1, below and above which one says so."""

GOES_ON, THANKS = 0.4, 0.35
"""Chances that another question follows, and that the last word is thanks."""


def talk(  # noqa: PLR0913, PLR0917
    course_id: str,
    session_id: str,
    topic: Topic,
    traits: Traits,
    recent_score: float,
    writer: EventWriter,
    rng: random.Random,
) -> None:
    """One to three questions about the topic, each answered, and perhaps thanks."""
    about = {
        "session_id": session_id,
        "contextual_topic_id": topic.topic_id,
        "related_skill": topic.skill_tag,
        "related_objective": topic.objective_tag,
        "searchable_tags": [topic.topic_id],
    }

    def write(direction: MessageDirection, text: str, **fields: Any) -> str:
        message = {**about, "message_direction": direction, "message_text": text, **fields}
        return writer.write("chat.message", course_id, rng.uniform(5, 60), **message)

    def say(mood: Mood) -> tuple[str, bool]:
        saying = said(mood, traits.style, rng)
        told = {name: value for name, value in saying._asdict().items() if value and name != "text"}
        return write("user", saying.text, **told), saying.hint_used

    for _ in range(3):
        question, hint = say(mood_of(traits, recent_score, rng))
        given = {"hint_used": True} if hint else {}
        answer = {"responder": TUTOR, "in_reply_to": question, **given}
        write("system", answered(hint, rng), **answer)
        if rng.random() >= GOES_ON:
            break
    if rng.random() < THANKS:
        say("thanks")


def mood_of(traits: Traits, recent_score: float, rng: random.Random) -> Mood:
    """What the next message is about: nothing in particular, help, the topic, or oneself."""
    chance = rng.random()
    if chance < min(0.3, 0.1 + 0.15 * traits.persistence):
        return "stuck"
    if chance < 0.6:
        if recent_score < GOES_BADLY:
            return rng.choice(("confused", "confused", "to review", "too hard"))
        return "too easy" if recent_score > GOES_WELL else rng.choice(("interested", "asks"))
    if chance < 0.85:
        felt = recent_score + traits.confidence_bias
        if felt < UNSURE:
            return "no idea" if felt < NO_IDEA else "unsure"
        return "sure" if felt > SURE else "asks"
    return "asks"
