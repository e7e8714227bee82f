"""What makes simulated learners differ: a mixture of kinds, each with its own spread.

A kind is where a learner's traits are drawn around, not a label: labels come from what learners
then do. The middles are choices that make every label occur; they claim nothing about real classes.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from schemas.fields import Format, LearnerLabel, SessionPreference, WritingStyle


class Kind(NamedTuple):
    """Middles of the traits of the same names; ``share`` of the class, ``label`` a tutor's word."""

    label: LearnerLabel
    share: float
    ability: float
    confidence_bias: float
    persistence: float
    attendance: float
    give_up: float


KINDS: tuple[Kind, ...] = (
    Kind("Struggling Novice", 0.13, -1.4, -0.02, 0.35, 0.55, 0.008),
    Kind("Persistent Striver", 0.16, -0.5, -0.03, 2.0, 0.7, 0.002),
    Kind("Overconfident Learner", 0.17, -0.3, 0.42, 0.15, 0.6, 0.004),
    Kind("Underconfident Achiever", 0.14, 1.1, -0.42, 0.45, 0.65, 0.002),
    Kind("Steady Achiever", 0.13, 0.6, 0.0, 0.3, 0.65, 0.002),
    Kind("Fast Tracker", 0.13, 2.4, -0.02, 0.08, 0.7, 0.001),
    Kind("Disengaging Learner", 0.14, -0.1, 0.05, 0.2, 0.3, 0.2),
)

_FORMATS: tuple[Format, ...] = ("text", "image", "video")
_PREFERENCES: tuple[SessionPreference, ...] = ("short_chunks", "long_sessions")
_STYLES: tuple[WritingStyle, ...] = (
    "formal-analytical",
    "conversational",
    "narrative",
    "concise",
)


class Traits(NamedTuple):
    """What stays the same of a learner.

    ``ability`` in logits; ``gain``: logits won per answer; ``pace``: factor on every duration;
    ``half_life``: days until half of something met once is forgotten; ``confidence_bias``: by how
    much they over- (+) or underestimate their score, 0–1; ``persistence``: hints and retries per
    hard answer; ``attendance``: chance of an active day; ``give_up``: chance per active day of
    going silent or leaving; ``wander``: chance of opening a module out of order; ``tells``: chance
    that confidence is told with an answer; ``hour``: of the day, UTC, when they usually begin.
    """

    kind: Kind
    ability: float
    gain: float
    pace: float
    half_life: float
    confidence_bias: float
    persistence: float
    attendance: float
    give_up: float
    wander: float
    tells: float
    hour: float
    session: SessionPreference
    format: Format
    style: WritingStyle


def draw_traits(rng: random.Random) -> Traits:
    """One learner of the class."""
    kind = rng.choices(KINDS, [kind.share for kind in KINDS])[0]
    return Traits(
        kind=kind,
        ability=rng.gauss(kind.ability, 0.3),
        gain=rng.uniform(0.0, 0.006),
        pace=rng.lognormvariate(0.0, 0.3),
        half_life=rng.uniform(2.0, 8.0),
        confidence_bias=rng.gauss(kind.confidence_bias, 0.06),
        persistence=max(0.0, rng.gauss(kind.persistence, 0.12)),
        attendance=min(0.95, max(0.1, rng.gauss(kind.attendance, 0.08))),
        give_up=kind.give_up * rng.uniform(0.5, 1.5),
        wander=rng.betavariate(1, 9),
        tells=rng.uniform(0.6, 0.95),
        hour=rng.uniform(7, 19),
        session=rng.choice(_PREFERENCES),
        format=rng.choice(_FORMATS),
        style=rng.choice(_STYLES),
    )
