"""A learner's way through one course: where they are, what they have scored, how it ends."""

from __future__ import annotations

import random

from schemas.fields import CourseResult
from simulation.course import Course, Module, Topic

ANSWERS_PER_TOPIC = 3
PASS = 0.4
DISTINCTION = 0.85
LEAST_COVERED = 0.2
"""Of the modules; who has seen less than that by the end fails."""


class Enrolment:
    """``begins``, ``ends``: days of the simulation; ``place``: topics done, in course order."""

    __slots__ = ("answers", "begins", "course", "ends", "enrolled", "module", "open", "place",
                 "score_sum", "topic")  # fmt: skip

    def __init__(self, course: Course, begins: int, ends: int) -> None:
        self.course = course
        self.begins = begins
        self.ends = ends
        self.enrolled = False
        self.open = True
        self.place = 0
        self.answers = 0
        self.score_sum = 0.0
        self.module: Module | None = None
        self.topic: Topic | None = None

    def next_topic(self, wander: float, rng: random.Random) -> tuple[int, Module, Topic]:
        """Where to work now: the intended place, or by chance ``wander`` anywhere."""
        modules = self.course.modules
        per_module = len(modules[0].topics)
        last = len(modules) * per_module - 1
        # Once through, they revise from the beginning.
        place = self.place % (last + 1)
        if rng.random() < wander:
            place = rng.randint(0, last)
        index = place // per_module
        return index, modules[index], modules[index].topics[place % per_module]

    def count(self, score: float) -> Module | None:
        """One graded answer more; the module that is completed by it, if one is."""
        self.answers += 1
        self.score_sum += score
        if self.answers % ANSWERS_PER_TOPIC:
            return None
        self.place += 1
        modules = self.course.modules
        per_module = len(modules[0].topics)
        if self.place % per_module or self.place > len(modules) * per_module:
            return None
        return modules[self.place // per_module - 1]

    def result(self) -> tuple[CourseResult, float]:
        """What it ends with, and the final score, 0–1."""
        mean = round(self.score_sum / self.answers, 3) if self.answers else 0.0
        covered = self.place / sum(len(module.topics) for module in self.course.modules)
        if mean < PASS or covered < LEAST_COVERED:
            return "fail", mean
        return ("distinction" if mean >= DISTINCTION else "pass"), mean
