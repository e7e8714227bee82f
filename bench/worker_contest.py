"""Two contenders (`bench.contender`) on the same preloaded topic, in turn.

Each is pinned to one core, with the broker on the others, and reads from a fresh group.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from itertools import islice
from typing import NamedTuple

from bench.feed import feed
from bench.measured_kafka import PARTITIONS, measured_kafka, pin_broker, settings_for
from bench.results_agree import assert_same_decisions
from simulation.classroom import simulate


class Contest(NamedTuple):
    """By contender, round by round: events a second, and µs of its processor an event."""

    events: int
    rates: dict[str, list[float]]
    cpu: dict[str, list[float]]

    def rate(self, kind: str) -> int:
        return round(statistics.median(self.rates[kind]))

    def cpu_us(self, kind: str) -> float:
        return round(statistics.median(self.cpu[kind]), 1)

    def ratios(self, name: str) -> dict[str, float]:
        """Of the first contender against the second: median, smallest and largest round."""
        ratios = [a / b for a, b in zip(*self.rates.values(), strict=True)]
        return {
            name: round(statistics.median(ratios), 2),
            f"{name}_min": round(min(ratios), 2),
            f"{name}_max": round(max(ratios), 2),
        }


def contest(kinds: tuple[str, str], events: int, rounds: int) -> Contest:
    """Both, ``rounds`` times; who goes first changes.

    Raises:
        SystemExit: they did not decide alike, or one of them not of every event.
    """
    result = Contest(events, {kind: [] for kind in kinds}, {kind: [] for kind in kinds})
    with measured_kafka() as kafka:
        pin_broker(kafka.pid)
        settings_for(kafka.bootstrap, "warm-up")
        lines = simulate(learners=400, days=120, seed=1)
        sent = feed(kafka.bootstrap, islice(lines, events))
        for round_ in range(rounds):
            for kind in kinds if round_ % 2 == 0 else reversed(kinds):
                app_id = f"bench-{kind.replace('_', '-')}-{round_}"
                settings_for(kafka.bootstrap, app_id)
                run = _contend(kind, kafka.bootstrap, app_id, sent)
                result.rates[kind].append(run["events"] / run["seconds"])
                result.cpu[kind].append(1e6 * run["cpu_seconds"] / run["events"])
                sys.stderr.write(
                    f"round {round_ + 1}/{rounds} {kind:>9}: {result.rates[kind][-1]:8,.0f} "
                    f"events/s, {result.cpu[kind][-1]:5.0f} µs CPU/event\n"
                )
        assert_same_decisions(kafka.bootstrap, PARTITIONS, 2 * rounds)
    return result._replace(events=sent)


def _contend(kind: str, bootstrap: str, app_id: str, events: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.contender", kind, "--app-id", app_id]
    command += ["--bootstrap", bootstrap, "--partitions", str(PARTITIONS)]
    command += ["--events", str(events), "--core", "0"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result
