"""What exactness costs: the worker against itself without any guard (`bench.unguarded`).

Throughput on the same preloaded topic (`bench.worker_contest`), and the time from an event to its
decision at one load for both. A worker that did not make exactly the decisions of a replay gets no
report.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from agents.prompt_sets import prompts_in
from agents.topics import DECISIONS, EVENTS
from bench.measured_kafka import PARTITIONS, measured_kafka
from bench.percentiles import percentiles
from bench.steady_load import Seen, steady_load
from bench.worker_contest import contest
from config.seed_trees import seed_trees
from config.settings import Settings
from faults.command_process import environment
from faults.fault import on_fresh_topics
from simulation.classroom import simulate
from simulation.disturbance import routing_key
from streams.batch import Source
from streams.decode import Record
from streams.replay import Replay
from streams.rules import Rules

WORKERS = {"guards": "cli.main", "unguarded": "bench.unguarded"}
"""By the name that its figures begin with: the module that runs it."""
_WARM_UP_SECONDS = 5.0
"""Of each worker, after its start; none of it counts."""


class Load(NamedTuple):
    """The same for both: ``lines``, and the ids of what must be decided on them."""

    lines: list[bytes]
    decided: set[str]
    events_per_s: float
    seconds: float


def guards_throughput(events: int, rounds: int) -> dict[str, object]:
    """``guards_throughput_ratio``, and events a second of both."""
    found = contest(("lists", "unguarded"), events, rounds)
    return {
        **found.ratios("guards_throughput_ratio"),
        "guards_events_per_s": found.rate("lists"),
        "unguarded_events_per_s": found.rate("unguarded"),
        "guards_cpu_us_per_event": found.cpu_us("lists"),
        "unguarded_cpu_us_per_event": found.cpu_us("unguarded"),
    }


def guards_latency(rounds: int, events_per_s: float, seconds: float) -> dict[str, float]:
    """Medians over the rounds; the two workers in turn, each on topics of its own."""
    load = _load(events_per_s, seconds)
    figures: dict[str, list[float]] = {}
    with measured_kafka() as kafka:
        for round_ in range(rounds + 1):
            for name in WORKERS if round_ % 2 == 0 else reversed(WORKERS):
                found = percentiles(f"{name}_latency", _waits(kafka.bootstrap, name, load))
                told = ", ".join(f"{key} {value}" for key, value in found.items())
                sys.stderr.write(f"round {round_}/{rounds} at {events_per_s:,.0f}/s: {told}\n")
                if round_ > 0:  # the first one warms up a broker that has just started
                    for key, value in found.items():
                        figures.setdefault(key, []).append(value)
    return {
        "guards_latency_at_events_per_s": events_per_s,
        **{key: round(statistics.median(found), 1) for key, found in sorted(figures.items())},
    }


def decisions_of(lines: Sequence[bytes]) -> set[str]:
    """The ids of what must be decided on ``lines``, read from an empty partition."""
    now = datetime.now(UTC)
    replay = Replay(seed_trees(), Rules(prompts=prompts_in(None)), Source(EVENTS, 0))
    records = (Record(at, routing_key(line), line, now) for at, line in enumerate(lines))
    return {d.decision_id for batch in replay.feed(records) for d in batch.decisions}


def waits_of(sent: dict[str, float], seen: Sequence[Seen], decided: set[str]) -> list[float]:
    """Seconds from each event to each of its decisions.

    Raises:
        SystemExit: what was seen is not ``decided``, each once.
    """
    ids = [record.decision_id for record in seen]
    if len(ids) != len(set(ids)) or set(ids) != decided:
        raise SystemExit(
            f"{len(ids)} decisions, {len(set(ids))} different ones, {len(decided - set(ids))} of "
            f"{len(decided)} missing: no report"
        )
    return [record.at - sent[record.event_id] for record in seen]


def _load(events_per_s: float, seconds: float) -> Load:
    count = round(events_per_s * _WARM_UP_SECONDS) + round(events_per_s * seconds)
    lines = list(islice(simulate(learners=2_000, days=400, seed=5), count))
    assert len(lines) == count, f"the class has {len(lines)} events only"
    return Load(lines, decisions_of(lines), events_per_s, seconds)


def _waits(bootstrap: str, name: str, load: Load) -> list[float]:
    """Of what was sent after the warm-up."""
    settings = on_fresh_topics(bootstrap, PARTITIONS)
    lines = iter(load.lines)
    with _running(WORKERS[name], settings):
        (warm_sent, warm_seen), (sent, seen) = (
            steady_load(bootstrap, lines, load.events_per_s, seconds, (DECISIONS,))
            for seconds in (_WARM_UP_SECONDS, load.seconds)
        )
    return waits_of(warm_sent | sent, [*warm_seen, *seen], load.decided)[len(warm_seen) :]


@contextmanager
def _running(module: str, settings: Settings) -> Iterator[None]:
    """A worker in a process of its own; what it says is shown if it left by itself."""
    with TemporaryDirectory() as folder, (Path(folder) / "worker.log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, "worker"],
            env=environment(settings),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        try:
            yield
            if process.poll() is not None:
                log.seek(0)
                raise SystemExit(f"the worker left: {log.read()[-2000:]}")
        finally:
            process.kill()
            process.wait()
