"""Which simple curve a series of measurements follows, by least squares."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

Shape = Literal["flat", "levels off", "log n", "linear", "irregular"]
Point = tuple[float, float]
"""A size (more than 0) and its cost (more than 0)."""

FLAT = 0.05
"""Of their mean, by which the costs of a flat curve may differ from it."""
_TOO_FAR = 0.15
"""Of the mean, by which no cost may differ from the curve that is closest."""

_OF_SIZE: dict[Shape, Callable[[float], float]] = {
    "levels off": lambda size: 1 / size,
    "log n": math.log,
    "linear": float,
}


def shape_of(points: Sequence[Point], flat: float = FLAT) -> Shape:
    """``flat`` where every cost is about the mean; otherwise the closest of a + b/n (``levels
    off``), a + b·log n and a + b·n; ``irregular`` where even that one misses a cost by far.

    Raises:
        ValueError: fewer than three points.
    """
    if len(points) < 3:
        raise ValueError("three points at least: two lie on every curve")
    mean = sum(cost for _, cost in points) / len(points)
    if all(abs(cost - mean) <= flat * mean for _, cost in points):
        return "flat"
    missed = {name: _residuals(points, of_size) for name, of_size in _OF_SIZE.items()}
    closest = min(missed, key=lambda name: sum(miss * miss for miss in missed[name]))
    if max(map(abs, missed[closest])) > _TOO_FAR * mean:
        return "irregular"
    return closest


def _residuals(points: Sequence[Point], of_size: Callable[[float], float]) -> list[float]:
    """What the line through (of_size(size), cost) leaves of each cost."""
    xs = [of_size(size) for size, _ in points]
    costs = [cost for _, cost in points]
    x_mean, mean = sum(xs) / len(xs), sum(costs) / len(costs)
    moment = sum((x - x_mean) * (cost - mean) for x, cost in zip(xs, costs, strict=True))
    slope = moment / sum((x - x_mean) ** 2 for x in xs)
    return [cost - mean - slope * (x - x_mean) for x, cost in zip(xs, costs, strict=True)]
