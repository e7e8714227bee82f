"""What a learner does in one sitting: read, answer, ask, say how it goes."""

from __future__ import annotations

import random
from typing import Any

from simulation.answer import Answer, answer
from simulation.chat import talk
from simulation.course import Question, Topic
from simulation.enrolment import Enrolment
from simulation.event_writer import EventWriter
from simulation.memory import Memory
from simulation.texts import written
from simulation.traits import Traits

DAY = 86_400
HARDER = 0.7
"""Logits that questions become harder by half-way, when they do."""

LEARNED = 1.2
"""Logits that a topic wholly remembered is worth."""

READ, ANSWERED = 0.3, 0.25
"""Share of what is missing of a topic that one reading and one answer teach."""

_FORMATS = ("text", "image", "video")
_FLAGS = ("confusing", "needs_revision", "too_hard")


class Session:
    """``recent_score``: mean score, 0–1, older answers counting less; 0.6 at the beginning."""

    def __init__(self, traits: Traits, writer: EventWriter, rng: random.Random) -> None:
        self._traits = traits
        self._writer = writer
        self._rng = rng
        self._memory = Memory(traits.half_life)
        self._gained = 0.0
        self._count = 0
        self.recent_score = 0.6

    def work(self, enrolment: Enrolment, day: int, harder: bool) -> None:
        """One session in a course on ``day``; it is over before the day is."""
        rng, writer = self._rng, self._writer
        course_id = enrolment.course.course_id
        self._count += 1
        session_id = f"s{self._count}"
        kind = "quiz" if rng.random() < 0.3 else "mixed"
        session: dict[str, Any] = {"session_id": session_id, "activity_type": kind}
        writer.write("session.started", course_id, **session)
        most = 2 if self._traits.session == "short_chunks" else 4
        for _ in range(1 + int(rng.random() * most)):
            if writer.now > (day + 1) * DAY - 7200:
                break
            self._step(enrolment, HARDER if harder else 0.0)
        self._talk(enrolment, session_id)
        writer.write("session.ended", course_id, rng.uniform(5, 60), **session)

    def _step(self, enrolment: Enrolment, harder: float) -> None:
        """Perhaps to another topic, perhaps something read, then one answer."""
        rng, writer, traits = self._rng, self._writer, self._traits
        course_id = enrolment.course.course_id
        index, module, topic = enrolment.next_topic(traits.wander, rng)
        if module is not enrolment.module:
            enrolment.module = module
            opened = {"module_id": module.module_id, "module_index": index}
            writer.write("module.entered", course_id, rng.uniform(2, 30), **opened)
        if topic is not enrolment.topic:
            enrolment.topic = topic
            to = {"topic_id": topic.topic_id, "module_id": module.module_id}
            writer.write("topic.changed", course_id, rng.uniform(2, 20), **to)
        format_ = traits.format if rng.random() < 0.7 else rng.choice(_FORMATS)
        if rng.random() < 0.45:
            seconds = round(rng.uniform(60, 420) * traits.pace, 1)
            self._memory.meet(topic.topic_id, writer.now, READ)
            writer.write(
                "content.viewed",
                course_id,
                min(seconds, 900),
                content_id=f"{topic.topic_id}-{format_}",
                content_type=format_,
                duration=seconds,
                module_id=module.module_id,
                topic_id=topic.topic_id,
            )
        question = rng.choice(topic.questions)
        given = self._answer(topic, question, harder)
        self._submit(course_id, module.module_id, topic, question, given, format_)
        completed = enrolment.count(given.score)
        if completed is not None:
            writer.write("module.completed", course_id, 2, module_id=completed.module_id)
        self._react(course_id, topic, given)

    def _answer(self, topic: Topic, question: Question, harder: float) -> Answer:
        now = self._writer.now
        remembered = self._memory.recall(topic.topic_id, now)
        ability = self._traits.ability + self._gained + LEARNED * (remembered - 0.5)
        given = answer(self._traits, ability, question.difficulty + harder, self._rng)
        self._memory.meet(topic.topic_id, now, ANSWERED)
        self._gained += self._traits.gain
        self.recent_score += 0.2 * (given.score - self.recent_score)
        return given

    def _submit(  # noqa: PLR0913, PLR0917
        self,
        course_id: str,
        module_id: str,
        topic: Topic,
        question: Question,
        given: Answer,
        format_: str,
    ) -> None:
        rng, writer = self._rng, self._writer
        if given.hints:
            asked = {"question_id": question.question_id, "topic_id": topic.topic_id}
            writer.write("hint.requested", course_id, rng.uniform(10, 90), **asked)
        seconds = round(rng.uniform(25, 140) * self._traits.pace * (1 + 0.5 * given.retries), 1)
        quiz: dict[str, Any] = {
            "question_id": question.question_id,
            "score": given.score,
            "topic_id": topic.topic_id,
            "module_id": module_id,
            "skill_tag": topic.skill_tag,
            "objective_tag": topic.objective_tag,
            "retries": given.retries,
            "hint_used": given.hints > 0,
            "duration": seconds,
            "content_format": format_,
        }
        if given.confidence is not None:
            quiz["confidence"] = given.confidence
        writer.write("quiz.submitted", course_id, min(seconds, 900), **quiz)

    def _react(self, course_id: str, topic: Topic, given: Answer) -> None:
        """What now and then follows an answer."""
        rng, writer = self._rng, self._writer
        chance = rng.random()
        if chance < 0.1:
            felt = given.score + self._traits.confidence_bias + rng.gauss(0, 0.1)
            told = round(min(1.0, max(0.0, felt)), 2)
            about = {"topic_id": topic.topic_id, "confidence": told}
            writer.write("confidence.reported", course_id, rng.uniform(5, 40), **about)
        elif chance < 0.14:
            flag = (
                rng.choice(_FLAGS) if given.score < 0.6
                else "too_easy" if given.score > 0.9 else "interesting"
            )  # fmt: skip
            flagged = {"topic_id": topic.topic_id, "flagged_type": flag}
            writer.write("topic.flagged", course_id, rng.uniform(5, 40), **flagged)

    def _talk(self, enrolment: Enrolment, session_id: str) -> None:
        """What now and then ends a session: feedback, a survey, a chat, a tutor's word."""
        topic = enrolment.topic
        if topic is None:
            return
        rng, writer, traits = self._rng, self._writer, self._traits
        course_id = enrolment.course.course_id
        chance = rng.random()
        if chance < 0.12:
            talk(course_id, session_id, topic, traits, self.recent_score, writer, rng)
        elif chance < 0.17:
            rating = 1 + round(4 * min(1.0, max(0.0, rng.gauss(self.recent_score, 0.2))))
            feedback: dict[str, Any] = {
                "topic_id": topic.topic_id,
                "rating": rating,
                "text": written(traits.style, rng),
            }
            writer.write("feedback.given", course_id, rng.uniform(20, 120), **feedback)
        elif chance < 0.20:
            felt = min(1.0, max(0.0, self.recent_score + traits.confidence_bias))
            survey = {
                "survey_id": f"{course_id}-survey-{self._count}",
                "flagged_topics": [topic.topic_id] if self.recent_score < 0.5 else [],
                "confidence_by_topic": {topic.topic_id: round(felt, 2)},
            }
            writer.write("survey.answered", course_id, rng.uniform(30, 200), **survey)
        elif chance < 0.204:
            label = {"tree_id": "primary_classification", "label": traits.kind.label}
            writer.write(
                "label.assigned", course_id, 5, source="tutor", assigned_by="tutor", **label
            )
