"""What the runs of every fault came to: their figures, the last line of `make faults`."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from faults.fault import BrokenOff, Outcome, Progress

FOUND = ("lost", "doubled", "different")
_COUNTED = ("rounds", "events", *FOUND, "failed")
_LARGEST = ("slowest_stop", "longest_pause", "slowest_catch_up")
"""Notes of which the largest counts, not the sum."""


class FaultSummary:
    """One fault's figures so far, its runs' seeds counted on from ``seed``.

    ``failed``: runs that broke off; their rounds are not counted, since nothing was compared.
    """

    def __init__(self, seed: int, tell: Progress) -> None:
        self.figures: dict[str, Any] = dict.fromkeys((*_COUNTED, "seconds"), 0)
        self.figures["seed"] = self._seed = seed
        self._tell = tell

    def add(self, run: Outcome | BrokenOff) -> None:
        self.figures["seconds"] += round(run.seconds)
        if isinstance(run, BrokenOff):
            self.figures["failed"] += 1
            self.figures.setdefault("failed_seeds", []).append(self._seed)
            self._tell(f"seed {self._seed}: failed, nothing compared\n{run.why}")
        else:
            self._add_compared(run)
        self._seed += 1

    def _add_compared(self, outcome: Outcome) -> None:
        compared = outcome.compared
        found = {kind: len(getattr(compared, kind)) for kind in FOUND}
        for key, more in {"rounds": outcome.rounds, "events": compared.events, **found}.items():
            self.figures[key] += more
        self._tell(f"seed {self._seed}: {outcome.rounds} rounds, {compared.events} events, {found}")
        self._tell(f"  {outcome.notes}")
        if any(found.values()):
            self._tell(compared.told())
        for name, value in outcome.notes.items():
            kept = self.figures.get(name, 0)
            self.figures[name] = max(kept, value) if name in _LARGEST else kept + value


class Summary:
    """Of all faults, by name."""

    def __init__(self) -> None:
        self.faults: dict[str, FaultSummary] = {}

    @property
    def total(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        for summed in self.faults.values():
            total.update({key: summed.figures[key] for key in _COUNTED})
        return {key: total[key] for key in _COUNTED}

    @property
    def exact(self) -> bool:
        """Everything was compared, and nothing lost, doubled or different."""
        return not any(self.total[key] for key in (*FOUND, "failed"))

    def line(self, seconds: float) -> str:
        by_name = {name: summed.figures for name, summed in self.faults.items()}
        return json.dumps(self.total | {"seconds": round(seconds), "faults": by_name})
