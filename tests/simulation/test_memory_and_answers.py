"""Formulas of the simulation, worked out by hand."""

from __future__ import annotations

import random

import pytest

from schemas.fields import WritingStyle
from simulation.answer import answer
from simulation.course import Course, catalogue, chance_right
from simulation.enrolment import Enrolment
from simulation.memory import Memory
from simulation.texts import written
from simulation.traits import KINDS, Traits, draw_traits
from streams.writing import measure, metrics, style

DAY = 86_400


def test_rasch() -> None:
    assert chance_right(0.3, 0.3) == 0.5
    # 1 / (1 + e^-1) and 1 / (1 + e^2)
    assert chance_right(1.0, 0.0) == pytest.approx(0.7310586)
    assert chance_right(-1.0, 1.0) == pytest.approx(0.1192029)


def test_half_is_forgotten_in_a_half_life_which_grows_when_met_again() -> None:
    memory = Memory(first_half_life=4.0)
    assert memory.recall("t", 0) == 0.0
    memory.meet("t", 0, 0.8)
    assert memory.recall("t", 0) == pytest.approx(0.8)
    assert memory.recall("t", 4 * DAY) == pytest.approx(0.4)
    assert memory.recall("t", 8 * DAY) == pytest.approx(0.2)
    # 0.4 are left, half of the missing 0.6 is learned: 0.7, with a half-life of 6 days.
    memory.meet("t", 4 * DAY, 0.5)
    assert memory.recall("t", 4 * DAY) == pytest.approx(0.7)
    assert memory.recall("t", 10 * DAY) == pytest.approx(0.35)
    assert memory.recall("another", 10 * DAY) == 0.0


def test_bias_and_persistence_show_in_answers() -> None:
    rng = random.Random(1)
    usual = draw_traits(rng)._replace(tells=1.0, persistence=0.0)

    def many(traits: Traits) -> tuple[float, float, float]:
        answers = [answer(traits, 0.0, 0.0, rng) for _ in range(500)]
        told = [a.confidence - a.score for a in answers if a.confidence is not None]
        assert len(told) == 500
        assert all(0 <= a.score <= 1 for a in answers)
        scores = sum(a.score for a in answers) / 500
        return scores, sum(told) / 500, sum(a.retries + a.hints for a in answers) / 500

    score, gap, helps = many(usual._replace(confidence_bias=0.0))
    assert score == pytest.approx(0.5, abs=0.03)
    assert gap == pytest.approx(0.0, abs=0.03)
    assert helps == 0
    assert many(usual._replace(confidence_bias=0.4))[1] == pytest.approx(0.4, abs=0.03)
    better, _, helps = many(usual._replace(persistence=2.0))
    assert helps == pytest.approx(2.0, abs=0.1)
    assert better > 0.53


def test_the_kinds_share_the_class() -> None:
    assert sum(kind.share for kind in KINDS) == pytest.approx(1.0)
    assert len({kind.label for kind in KINDS}) == 7


def test_a_course_is_gone_through_in_order_and_ends_as_scored() -> None:
    course: Course = catalogue(1)[0]
    assert catalogue(1) == catalogue(1) != catalogue(2)
    enrolment = Enrolment(course, 0, 30)
    rng = random.Random(1)
    assert enrolment.result() == ("fail", 0.0)
    # Three answers per topic, two topics per module: the sixth completes the first module.
    completed = [enrolment.count(0.9) for _ in range(6)]
    assert completed == [None] * 5 + [course.modules[0]]
    assert enrolment.next_topic(0.0, rng)[:2] == (1, course.modules[1])
    assert enrolment.result() == ("fail", 0.9)  # two of sixteen topics are too few
    for _ in range(6):
        enrolment.count(0.9)
    assert enrolment.result() == ("distinction", 0.9)
    for _ in range(12):
        enrolment.count(0.4)
    assert enrolment.result() == ("pass", 0.65)
    for _ in range(24):
        enrolment.count(0.1)
    assert enrolment.result() == ("fail", 0.375)
    assert enrolment.next_topic(0.0, rng)[0] == 0  # once through, from the beginning


@pytest.mark.parametrize("wanted", ["formal-analytical", "conversational", "narrative", "concise"])
def test_texts_are_of_the_style_that_we_measure(wanted: WritingStyle) -> None:
    rng = random.Random(2)
    for _ in range(20):
        totals = measure(" ".join(written(wanted, rng) for _ in range(12)))
        assert style(metrics(totals), totals) == wanted
