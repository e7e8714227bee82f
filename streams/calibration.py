"""Do confidence and correctness go together? PMI from a 2×2 table of graded answers."""

from __future__ import annotations

from math import log2

from schemas.engagement import CalibrationCounts

CONFIDENT = 0.5
CORRECT = 0.5


def count_answer(counts: CalibrationCounts, confidence: float, score: float) -> CalibrationCounts:
    """The table with one answer more; confident and correct from 0.5 on."""
    sure, right = confidence >= CONFIDENT, score >= CORRECT
    return CalibrationCounts(
        counts.confident_correct + (sure and right),
        counts.confident_wrong + (sure and not right),
        counts.doubtful_correct + (right and not sure),
        counts.doubtful_wrong + (not sure and not right),
    )


def pmi(counts: CalibrationCounts) -> float:
    """Pointwise mutual information of "confident" and "correct", in bits.

    log2( p(confident ∧ correct) / (p(confident) · p(correct)) ) (Church & Hanks 1990), each cell
    of the table with 0.5 more, so that it is finite and 0 before the first answer. Above 0: sure
    when right; below: sure when wrong. In `count_answer` order does not matter.
    """
    both = counts.confident_correct + 0.5
    confident = both + counts.confident_wrong + 0.5
    correct = both + counts.doubtful_correct + 0.5
    total = confident + counts.doubtful_correct + counts.doubtful_wrong + 1.0
    return log2(both * total / (confident * correct))
