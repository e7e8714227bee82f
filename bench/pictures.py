"""The pictures in ``docs/pictures`` that benchmarks draw; they need the extra ``pictures``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.stages import STAGES

if TYPE_CHECKING:
    from bench.growth import Curve

_FOLDER = Path("docs", "pictures")
_MEANINGS = {
    "history": "events behind the learner",
    "learners": "learners, another one at each event",
    "restored": "learners that were just restored",
    "courses": "courses of the learner",
    "depth": "questions asked by each tree",
    "batch": "events in a batch",
}


def draw_stages(bars: Mapping[str, tuple[str, Mapping[str, float]]]) -> None:
    """``stages.svg``: one stacked bar for each title, which has a unit and a value by stage."""
    pyplot = _pyplot()
    if pyplot is None:
        return
    figure, panels = pyplot.subplots(len(bars), 1, figsize=(9, 1.5 * len(bars) + 1.2))
    colours = pyplot.get_cmap("tab20").colors
    handles: dict[str, Any] = {}
    for panel, (title, (unit, values)) in zip(panels, bars.items(), strict=True):
        left = 0.0
        for number, stage in enumerate(STAGES):
            value = values.get(stage, 0.0)
            if value > 0:
                drawn = panel.barh(0, value, left=left, color=colours[number % len(colours)])
                handles.setdefault(stage, drawn)
                left += value
        panel.set_title(f"{title}: {left:,.0f} {unit}", loc="left", fontsize=10)
        panel.set_yticks([])
        panel.margins(x=0)
    shown = [stage for stage in STAGES if stage in handles]
    figure.legend(
        [handles[stage] for stage in shown], shown, loc="lower center", ncol=6, fontsize=8,
        frameon=False,
    )  # fmt: skip
    figure.tight_layout(rect=(0, 0.16, 1, 1))
    _save(pyplot, figure, "stages.svg")


def draw_growth(curves: Mapping[str, Curve]) -> None:
    """``growth.svg``: a panel for each curve, time on the left, instructions on the right."""
    pyplot = _pyplot()
    if pyplot is None:
        return
    figure, panels = pyplot.subplots(len(curves), 1, figsize=(8, 2.3 * len(curves)))
    for panel, (name, curve) in zip(panels, curves.items(), strict=True):
        sizes = list(curve.costs)
        medians = [cost.median for cost in curve.costs.values()]
        panel.plot(sizes, medians, "o-", color="tab:blue")
        panel.fill_between(
            sizes,
            [cost.low for cost in curve.costs.values()],
            [cost.high for cost in curve.costs.values()],
            color="tab:blue",
            alpha=0.2,
        )
        panel.set_xscale("log")
        panel.set_ylim(0, 1.15 * max(cost.high for cost in curve.costs.values()))
        panel.set_ylabel("µs", color="tab:blue")
        panel.set_title(f"{_MEANINGS[name]}: {curve.shape}", loc="left", fontsize=10)
        if curve.kilo_instructions:
            counted = panel.twinx()
            values = list(curve.kilo_instructions.values())
            counted.plot(list(curve.kilo_instructions), values, "s--", color="tab:orange", ms=4)
            counted.set_ylim(0, 1.15 * max(values))
            counted.set_ylabel("k instructions", color="tab:orange")
    figure.tight_layout()
    _save(pyplot, figure, "growth.svg")


def _pyplot() -> Any:
    if importlib.util.find_spec("matplotlib") is None:
        sys.stderr.write(
            "no picture: this needs matplotlib: pip install 'learner-stream[pictures]'\n"
        )
        return None
    import matplotlib  # noqa: PLC0415

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "learner-stream"
    from matplotlib import pyplot  # noqa: PLC0415

    return pyplot


def _save(pyplot: Any, figure: Any, name: str) -> None:
    figure.savefig(_FOLDER / name, metadata={"Date": None})
    pyplot.close(figure)
    sys.stderr.write(f"drawn: {_FOLDER / name}\n")
