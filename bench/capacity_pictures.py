"""Two pictures of `docs/capacity.md`: latency by utilisation, and the backlog after a failure.

Needs matplotlib (extra ``pictures``). The same bytes for the same costs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.capacity_runs import PARTITIONS_OF_A_WORKER, latencies, recoveries
from bench.measured_costs import MeasuredCosts

_SHARES = tuple(round(0.05 * step, 2) for step in range(1, 19))
LATENCY, RECOVERY = "capacity-latency.svg", "capacity-recovery.svg"


def draw(costs: MeasuredCosts, folder: Path) -> None:
    """Writes both into ``folder``.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    import matplotlib  # noqa: PLC0415
    from matplotlib import pyplot  # noqa: PLC0415

    with matplotlib.rc_context({"svg.hashsalt": "capacity"}):
        for name, fill in {LATENCY: _latency, RECOVERY: _recovery}.items():
            figure, panel = pyplot.subplots(figsize=(8, 4))
            fill(costs, panel)
            panel.grid(alpha=0.3)
            panel.legend(loc="upper left", frameon=False, fontsize=9)
            figure.tight_layout()
            figure.savefig(folder / name, metadata={"Date": None})
            pyplot.close(figure)


def _latency(costs: MeasuredCosts, panel: Any) -> None:
    for partitions in PARTITIONS_OF_A_WORKER:
        found = latencies(costs, partitions, _SHARES)
        (line,) = panel.semilogy(
            [100 * one.utilisation for one in found],
            [one.p99_ms for one in found],
            label=f"{partitions} partition{'s'[: partitions - 1]} a worker",
        )
        panel.semilogy(
            [100 * one.utilisation for one in found],
            [one.p50_ms for one in found],
            color=line.get_color(),
            linestyle=":",
        )
    panel.set_xlabel("events that come, % of what a core folds")
    panel.set_ylabel("event to decision, ms: p99 (dotted: p50)")


def _recovery(costs: MeasuredCosts, panel: Any) -> None:
    for one in recoveries(costs):
        ends = one.outage.back + 1.3 * one.drain_by_hand + 10
        at = np.arange(one.outage.at - 5, ends, 0.25)
        panel.plot(at - one.outage.at, one.waits.backlog(at), label=one.what)
    panel.set_xlabel("seconds since a worker died")
    panel.set_ylabel("events that wait, of that worker")
    panel.set_ylim(top=1.3 * panel.get_ylim()[1])  # room for the legend
