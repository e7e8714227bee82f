"""Events a second of `learner replay`, a process pinned to one core, its decisions written away.

All of OULAD as `learner convert oulad` tells it (``../shared/data/oulad``), or a simulated class
where it is not there.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from converters.oulad import oulad_events
from faults.world_input import OULAD
from simulation.classroom import simulate

_CORE = 0
_SIMULATED_EVENTS = 180_000


def replay_rate(rounds: int) -> dict[str, object]:
    """``replay_events_per_s``: median, from the start of the command to its end."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events.jsonl"
        events = _write(file, _events())
        rates: list[float] = []
        for round_ in range(rounds):
            began = time.perf_counter()
            subprocess.run(
                [Path(sys.executable).with_name("learner"), "replay", file],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=lambda: os.sched_setaffinity(0, {_CORE}),
                check=True,
            )
            rates.append(events / (time.perf_counter() - began))
            sys.stderr.write(f"round {round_ + 1}/{rounds} replay: {rates[-1]:8,.0f} events/s\n")
    return {
        "replay_of": "OULAD" if OULAD.is_dir() else "a simulated class",
        "replay_events": events,
        "replay_events_per_s": round(statistics.median(rates)),
    }


def _events() -> Iterable[bytes]:
    if OULAD.is_dir():
        return oulad_events(OULAD)
    return islice(simulate(learners=400, days=120, seed=1), _SIMULATED_EVENTS)


def _write(file: Path, events: Iterable[bytes]) -> int:
    """How many there are."""
    count = 0
    with file.open("wb") as out:
        for count, event in enumerate(events, 1):  # noqa: B007  # the last one is the count
            out.write(event + b"\n")
    return count
