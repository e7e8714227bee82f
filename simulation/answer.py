"""How a learner answers a question: score, help taken, confidence told."""

from __future__ import annotations

import random
from math import sqrt
from typing import NamedTuple

from simulation.course import chance_right
from simulation.traits import Traits

PARTS = 10
"""Parts of a question, each right or wrong, so that a score is a multiple of 0.1."""

RETRY_HELPS = 0.08
"""Share of what was missing that a retry finds; three at most find something."""

UNSURE_OF_ONESELF = 0.07
"""Standard deviation of a learner's own estimate of the score."""


class Answer(NamedTuple):
    """``hints`` are asked for before the answer; ``confidence`` ``None`` if not told."""

    score: float
    retries: int
    hints: int
    confidence: float | None


def answer(traits: Traits, ability: float, difficulty: float, rng: random.Random) -> Answer:
    """One answer by a learner who now has ``ability`` (logits) for this topic.

    The score is the share of right parts: binomial, by its normal approximation.
    """
    first = chance_right(ability, difficulty)
    # Help is sought where it is hard: none at certainty, the learner's usual at even odds.
    helps = traits.persistence * min(1.5, 2 * (1 - first)) * (0.7 + 0.6 * rng.random())
    helps = int(helps + rng.random())
    hints = 1 if helps and rng.random() < 0.3 else 0
    retries = helps - hints
    chance = first + (1 - first) * RETRY_HELPS * min(3, retries)
    right = round(rng.gauss(PARTS * chance, sqrt(PARTS * chance * (1 - chance))))
    confidence = None
    if rng.random() < traits.tells:
        felt = rng.gauss(first + traits.confidence_bias, UNSURE_OF_ONESELF)
        confidence = min(1.0, max(0.0, round(felt, 2)))
    return Answer(min(PARTS, max(0, right)) / PARTS, retries, hints, confidence)
