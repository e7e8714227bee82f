"""Courses as they stand in the catalogue, and how likely a question is answered."""

from __future__ import annotations

import random
from math import exp
from typing import NamedTuple

SUBJECTS = ("algebra", "statistics", "programming", "biology", "economics", "rhetoric")
SKILLS = ("recall", "procedure", "concept", "transfer")
MODULES = 8
TOPICS_PER_MODULE = 2
QUESTIONS_PER_TOPIC = 5
CLIMB = 0.12
"""Logits by which each module is harder than the one before."""


class Question(NamedTuple):
    """``difficulty`` in logits: at an ability as high, half of the question's parts are right."""

    question_id: str
    difficulty: float


class Topic(NamedTuple):
    topic_id: str
    skill_tag: str
    objective_tag: str
    questions: tuple[Question, ...]


class Module(NamedTuple):
    module_id: str
    topics: tuple[Topic, ...]


class Course(NamedTuple):
    """``modules`` in their intended order, so that a place in it is the ``module_index``."""

    course_id: str
    modules: tuple[Module, ...]


def catalogue(seed: int) -> tuple[Course, ...]:
    """One course per subject, the same for the same seed."""
    rng = random.Random(f"catalogue/{seed}")
    return tuple(_course(subject, rng) for subject in SUBJECTS)


def chance_right(ability: float, difficulty: float) -> float:
    """Probability that a part of a question is right, 0–1: 1 / (1 + e^(difficulty − ability)).

    The Rasch model (Rasch 1960), the one-parameter logistic of item response theory.
    """
    return 1 / (1 + exp(difficulty - ability))


def _course(subject: str, rng: random.Random) -> Course:
    return Course(subject, tuple(_module(subject, index, rng) for index in range(MODULES)))


def _module(subject: str, index: int, rng: random.Random) -> Module:
    module_id = f"{subject}-m{index + 1}"
    topics = []
    for place in range(TOPICS_PER_MODULE):
        topic_id = f"{module_id}-t{place + 1}"
        middle = rng.gauss((index - (MODULES - 1) / 2) * CLIMB, 0.25)
        questions = tuple(
            Question(f"{topic_id}-q{number + 1}", rng.gauss(middle, 0.25))
            for number in range(QUESTIONS_PER_TOPIC)
        )
        skill = f"{subject}-{SKILLS[(index * TOPICS_PER_MODULE + place) % len(SKILLS)]}"
        topics.append(Topic(topic_id, skill, f"{module_id}-objective", questions))
    return Module(module_id, tuple(topics))
