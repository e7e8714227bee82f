"""Test-then-train accuracy: every example is foretold before it is learned.

With a fading factor α each prediction weighs α times less per later example, so the measure follows
a drift: ``(Σ αⁿ⁻ⁱ hitᵢ) / (Σ αⁿ⁻ⁱ)`` (Gama, Sebastião & Rodrigues, *On evaluating stream learning
algorithms*, Machine Learning 90, 2013, eq. 6).
"""

from __future__ import annotations

from schemas.snapshot import Tally


def tallied(tally: Tally, hit: bool, fading: float) -> Tally:
    """The tally after one more prediction. ``fading``: α, 0–1; 1 forgets nothing."""
    return Tally(
        tally.count + 1,
        tally.correct + hit,
        tally.faded_count * fading + 1.0,
        tally.faded_correct * fading + hit,
    )


def accuracy(tally: Tally) -> float:
    """Share of hits over everything, 0–1; 0 before the first."""
    return tally.correct / tally.count if tally.count else 0.0


def faded_accuracy(tally: Tally) -> float:
    """Share of hits, recent ones counting more, 0–1; 0 before the first."""
    return tally.faded_correct / tally.faded_count if tally.faded_count else 0.0
