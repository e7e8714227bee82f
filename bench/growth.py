"""What an event costs the pure step, against what there is more and more of.

All sizes of a curve are measured in turn, again and again, so that a machine that slows down slows
all of them. Time is the processor's: waiting for it counts for nothing. Instructions are counted
under Valgrind where that is installed: those are the same each time, C code included.
"""

from __future__ import annotations

import gc
import statistics
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

from bench import growth_cases
from bench.curve_shape import Shape, shape_of
from bench.growth_cases import FULL_WINDOWS, Case
from bench.meters import seconds
from bench.pictures import draw_growth
from bench.step_work import Work
from bench.valgrind import valgrind_works
from bench.work_instructions import instructions_of

CURVES: dict[str, Callable[[], dict[int, Case]]] = {
    "history": growth_cases.by_history,
    "learners": growth_cases.by_learners,
    "restored": growth_cases.by_restored,
    "courses": growth_cases.by_courses,
    "depth": growth_cases.by_depth,
    "batch": growth_cases.by_batch,
}
_EVENTS_OF_A_SIZE = 12_000
_MOST_ROUNDS = 120
_COUNTED_EVENTS = 100
"""At most, of a work whose instructions are counted: that takes 10 ms an event."""


class Cost(NamedTuple):
    """Of an event, µs: the median of all rounds, and the quartiles around it."""

    median: float
    low: float
    high: float


class Curve(NamedTuple):
    """By size, what an event costs, and its thousands of instructions (none without Valgrind)."""

    costs: dict[int, Cost]
    kilo_instructions: dict[int, float]

    @property
    def time_shape(self) -> Shape:
        return shape_of([(size, cost.median) for size, cost in self.costs.items()])

    @property
    def shape(self) -> Shape:
        """Of the instructions if they were counted, which no noise bends; else of the time."""
        counted = list(self.kilo_instructions.items())
        return shape_of(counted) if counted else self.time_shape


def growth() -> dict[str, object]:
    """Measures every curve, draws them, and gives the figures for the closing line."""
    curves = {}
    for name, cases in CURVES.items():
        curves[name] = measured(cases())
        sys.stderr.write(table_of(name, curves[name]))
    draw_growth(curves)
    return figures(curves)


def measured(cases: Mapping[int, Case]) -> Curve:
    """Time and instructions of each case; Python's collector is off meanwhile."""
    gc.collect()
    gc.disable()
    try:
        works = {size: next(case) for size, case in cases.items()}
        events = max(work.events for work in works.values())
        rounds = min(_MOST_ROUNDS, _EVENTS_OF_A_SIZE // events)
        taken: dict[int, list[float]] = {size: [] for size in cases}
        for round_ in range(rounds):
            for size in list(cases)[:: 1 if round_ % 2 == 0 else -1]:
                taken[size].append(1e6 * seconds(next(cases[size])))
        # Of what comes next: time has changed the tables of some.
        few = {str(size): _few(next(case)) for size, case in cases.items()}
        counted = {size: work for size, work in few.items() if work.events}
        instructions = instructions_of(counted) if valgrind_works() else {}
    finally:
        gc.enable()
    costs = {size: _cost(found) for size, found in taken.items()}
    return Curve(costs, {int(size): of / 1000 for size, of in instructions.items()})


def _few(work: Work) -> Work:
    """Its first batches, no more events than may be counted."""
    batch = len(work.batches[0])
    return work._replace(batches=work.batches[: _COUNTED_EVENTS // batch])


def _cost(found: list[float]) -> Cost:
    low, median, high = statistics.quantiles(found, n=4)
    return Cost(median, low, high)


def figures(curves: Mapping[str, Curve]) -> dict[str, object]:
    """``<curve>_growth``: the cost at the largest size against that at the smallest, less 1;
    ``…_instructions`` of the instructions. Of history also from full windows on."""
    result: dict[str, object] = {}
    for name, curve in curves.items():
        medians = {size: cost.median for size, cost in curve.costs.items()}
        for suffix, values in (("", medians), ("_instructions", curve.kilo_instructions)):
            if values:
                result[f"{name}_growth{suffix}"] = _rise(values, min(values))
                if name == "history":
                    result[f"{name}_growth_full_windows{suffix}"] = _rise(values, FULL_WINDOWS)
    rounded = {
        name: {size: [round(of, 1) for of in cost] for size, cost in curve.costs.items()}
        for name, curve in curves.items()
    }
    counted = {
        name: {size: round(of, 1) for size, of in curve.kilo_instructions.items()}
        for name, curve in curves.items()
    }
    return {
        **result,
        "growth_us": rounded,
        "growth_kilo_instructions": counted,
        "growth_shapes": {name: curve.shape for name, curve in curves.items()},
        "growth_time_shapes": {name: curve.time_shape for name, curve in curves.items()},
    }


def _rise(values: Mapping[int, float], since: int) -> float:
    return round(values[max(values)] / values[since] - 1, 3)


def table_of(name: str, curve: Curve) -> str:
    """A line for each size."""
    lines = [f"{name}: {curve.shape}; time: {curve.time_shape}\n"]
    for size, cost in curve.costs.items():
        line = f"{size:9,} {cost.median:7.1f} µs ({cost.low:.1f}–{cost.high:.1f})"
        if size in curve.kilo_instructions:
            line += f" {curve.kilo_instructions[size]:9,.1f} k instructions"
        lines.append(f"{line}\n")
    return "".join(lines)
