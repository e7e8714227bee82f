"""One learner's days: when they come, which course they work on, when they give up."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime

from simulation.course import Course
from simulation.enrolment import Enrolment
from simulation.event_writer import EventWriter, Written
from simulation.onboarding import background, preferences
from simulation.session import Session
from simulation.traits import draw_traits

DAY = 86_400
LATEST_HOUR = 20.5
SILENT_DAYS = (15, 28)
LEAVES, STAYS_AWAY = 0.3, 0.1
"""Of those who give up, the share that withdraws and that is never seen again; others return."""

LOW = 0.45
DISHEARTENED = 3.0
"""Factor on the chance of giving up below a mean recent score of ``LOW``."""

WEEKEND = 0.6
"""Factor on the chance of an active day."""

AT_MOST = (0.55, 0.85)
"""Cumulated shares of learners with at most one and at most two courses; the rest take three."""


class Learner:
    """``number`` and ``seed`` make everything about them; they choose among ``courses``."""

    def __init__(
        self, number: int, user_id: str, seed: int, start: datetime, courses: tuple[Course, ...]
    ) -> None:
        self._rng = random.Random(f"{seed}/{number}")
        self._writer = EventWriter(start, number, user_id, self._rng)
        self._traits = draw_traits(self._rng)
        self._weekday = start.weekday()
        self._courses = courses

    def events(self, days: int, harder_from: int | None) -> Iterator[Written]:
        """All they do before day ``days``, in time order; questions are harder from a day on."""
        rng, writer, traits = self._rng, self._writer, self._traits
        enrolments = _enrolments(self._courses, days, rng)
        session = Session(traits, writer, rng)
        away_until = enrolments[0].begins
        onboarded = False
        for day in range(away_until, days):
            if day < away_until:
                continue
            writer.now = max(writer.now, day * DAY + self._begins())
            if not onboarded:
                writer.write("profile.updated", source="registry", **background(traits, rng))
                onboarded = True
            _enrol(enrolments, day, writer, rng)
            _close(enrolments, day, writer)
            yield from writer.take()
            current = [e for e in enrolments if e.enrolled and e.open]
            weekend = (self._weekday + day) % 7 >= 5
            if not current or rng.random() >= traits.attendance * (WEEKEND if weekend else 1):
                continue
            if rng.random() < 0.01:
                writer.write("profile.updated", **preferences(traits, rng))
            harder = harder_from is not None and day >= harder_from
            session.work(rng.choice(current), day, harder)
            if rng.random() < 0.1 and writer.now < day * DAY + 17 * 3600:
                writer.now += 3600
                session.work(rng.choice(current), day, harder)
            low = DISHEARTENED if session.recent_score < LOW else 1.0
            if rng.random() < traits.give_up * low:
                away_until = self._give_up(current, day, days)
            yield from writer.take()

    def _begins(self) -> int:
        hour = self._rng.gauss(self._traits.hour, 1.5)
        return int(3600 * min(LATEST_HOUR, max(5.0, hour)))

    def _give_up(self, current: list[Enrolment], day: int, days: int) -> int:
        """Leaves the course worked on last or falls silent; the day they may come again."""
        rng = self._rng
        chance = rng.random()
        if chance < LEAVES:
            leaving = current[-1]
            leaving.open = False
            self._writer.write("course.withdrawn", leaving.course.course_id, rng.uniform(60, 3600))
            return day + 1
        if chance < LEAVES + STAYS_AWAY:
            return days
        return day + 1 + rng.randint(*SILENT_DAYS)


def _enrolments(courses: tuple[Course, ...], days: int, rng: random.Random) -> list[Enrolment]:
    """One to three courses, each of about half the time; the first begins in the first days."""
    chance = rng.random()
    count = 1 + (chance >= AT_MOST[0]) + (chance >= AT_MOST[1])
    length = max(7, min(70, days * 3 // 5))
    begins = int(rng.random() * max(1, days // 10))
    enrolments = []
    for course in rng.sample(courses, count):
        enrolments.append(Enrolment(course, begins, begins + length))
        begins += int(rng.random() * max(1, days // 3))
    return enrolments


def _enrol(enrolments: list[Enrolment], day: int, writer: EventWriter, rng: random.Random) -> None:
    for enrolment in enrolments:
        if not enrolment.enrolled and enrolment.begins <= day < enrolment.ends:
            enrolment.enrolled = True
            again = int(rng.random() < 0.1)
            course_id = enrolment.course.course_id
            writer.write("course.enrolled", course_id, 30, previous_attempts=again)


def _close(enrolments: list[Enrolment], day: int, writer: EventWriter) -> None:
    """Courses that have come to their end get their result."""
    for enrolment in enrolments:
        if enrolment.enrolled and enrolment.open and day >= enrolment.ends:
            enrolment.open = False
            result, score = enrolment.result()
            course_id = enrolment.course.course_id
            writer.write("course.completed", course_id, 5, result=result, final_score=score)
