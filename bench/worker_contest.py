"""Contenders (`bench.contender_process`) on the same preloaded topic, in turn.

Each is pinned to one core, with the broker on the others, and reads from a fresh group.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from bench.contender_process import CONTENDERS, Run, Told, run_of, started
from bench.feed import feed
from bench.measured_kafka import PARTITIONS, measured_kafka, pin_broker, settings_for, topic_bytes
from bench.results_agree import assert_same_decisions, assert_same_digest
from simulation.classroom import simulate


class Contest(NamedTuple):
    """By contender, round by round: events a second, µs of its processor an event, and bytes of
    its changelogs where they can be seen."""

    events: int
    rates: dict[str, list[float]]
    cpu: dict[str, list[float]]
    changelogs: dict[str, list[int]]

    def rate(self, kind: str) -> int:
        return round(statistics.median(self.rates[kind]))

    def cpu_us(self, kind: str) -> float:
        return round(statistics.median(self.cpu[kind]), 1)

    def changelog_bytes(self, kind: str) -> float | None:
        """An event, on the broker's disk."""
        found = self.changelogs[kind]
        return round(statistics.median(found) / self.events, 1) if found else None

    def ratios(self, name: str, against: str | None = None) -> dict[str, float]:
        """Of the first contender's rate to another's (the second's): median, smallest, largest."""
        first, second, *_ = self.rates
        return spread(name, self.rates[first], self.rates[against or second])

    def cpu_ratios(self, name: str, against: str) -> dict[str, float]:
        """Of the first contender's processor time an event to another's."""
        first, *_ = self.cpu
        return spread(name, self.cpu[first], self.cpu[against])


def spread(name: str, ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Of the ratios round by round: median, smallest and largest."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {
        name: round(statistics.median(ratios), 2),
        f"{name}_min": round(min(ratios), 2),
        f"{name}_max": round(max(ratios), 2),
    }


def contest(kinds: Sequence[str], events: int, rounds: int) -> Contest:
    """All of them, ``rounds`` times; the order is turned round each time.

    Raises:
        SystemExit: they did not decide alike, or one of them not of every event.
    """
    for kind in kinds:
        if not CONTENDERS[kind].python.exists():
            raise SystemExit(f"{CONTENDERS[kind].python} is not there: `make bench` makes it")
    result = Contest(events, *({kind: [] for kind in kinds} for _ in range(3)))
    with measured_kafka() as kafka:
        pin_broker(kafka.pid)
        settings_for(kafka.bootstrap, "warm-up")
        lines = simulate(learners=400, days=120, seed=1)
        sent = feed(kafka.bootstrap, islice(lines, events))
        task = Told("", kafka.bootstrap, "", PARTITIONS, sent, core=0)
        by_the_step: list[str] = []
        for round_ in range(rounds):
            for kind in kinds if round_ % 2 == 0 else reversed(kinds):
                run = _contend(task._replace(kind=kind, app_id=_group(kind, round_)))
                if CONTENDERS[kind].on_kafka:
                    batch_records = run.batch_records or task.batch_records
                    task = task._replace(batch_records=round(batch_records))
                if run.decisions is not None:
                    by_the_step.append(run.decisions)
                result.rates[kind].append(run.events_per_s)
                result.cpu[kind].append(run.cpu_us)
                if written := topic_bytes(kafka, f"{_group(kind, round_)}-*-changelog"):
                    result.changelogs[kind].append(written)
                sys.stderr.write(
                    f"round {round_ + 1}/{rounds} {kind:>12}: {run.events_per_s:8,.0f} "
                    f"events/s, {run.cpu_us:5.0f} µs CPU/event{_batches(run)}\n"
                )
        on_kafka = sum(CONTENDERS[kind].on_kafka for kind in kinds)
        decided = assert_same_decisions(kafka.bootstrap, PARTITIONS, on_kafka * rounds)
        assert_same_digest(decided, by_the_step)
    return result._replace(events=sent)


def _group(kind: str, round_: int) -> str:
    return f"bench-{kind.replace('_', '-')}-{round_}"


def _batches(run: Run) -> str:
    return "" if run.batch_records is None else f", {run.batch_records:.0f} events a batch"


def _contend(told: Told) -> Run:
    if CONTENDERS[told.kind].on_kafka:
        settings_for(told.bootstrap, told.app_id)
    with started(told) as process:
        return run_of(process)
