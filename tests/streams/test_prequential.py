"""Accuracy before learning, worked by hand."""

from __future__ import annotations

import pytest

from schemas.snapshot import Tally
from streams.prequential import accuracy, faded_accuracy, tallied


def test_hit_miss_hit_with_half_fading() -> None:
    tally = Tally()
    for hit in (True, False, True):
        tally = tallied(tally, hit, 0.5)
    assert accuracy(tally) == pytest.approx(2 / 3)
    # (1·0.25 + 0·0.5 + 1·1) / (0.25 + 0.5 + 1)
    assert faded_accuracy(tally) == pytest.approx(1.25 / 1.75)


def test_nothing_foretold_is_zero() -> None:
    assert (accuracy(Tally()), faded_accuracy(Tally())) == (0.0, 0.0)
