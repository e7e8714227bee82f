"""The suite can fail: with each guard taken out, the comparison says what was lost or doubled.

Each case is the shortest run that shows it. ``offset-in-the-value`` never matters while a position
stands beside the state, so it is shown without a broker.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from agents.topics import DEAD_LETTERS, DECISIONS, EVENTS
from audit.registry import audit_of
from audit.run import Asked, run_audit
from config.seed_trees import seed_trees
from config.settings import DuckdbSettings, Settings, SinkSettings
from faults.command_at_a_moment import variables, without
from faults.command_process import CommandProcess
from faults.committed_records import lag
from faults.guards import GUARDS
from faults.load import Load
from faults.running_sinks import behind, until
from faults.worker_fault import Way, WorkerFault
from simulation.classroom import simulate
from simulation.disturbance import routing_key
from streams import batch
from streams.batch import Source, process
from streams.decode import Record
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.tables import MemoryTables

RATE = 800
RESTARTED = ("start a", "works a", "wait 4", "kill a", "start a", "works a", "wait 1")


class Case(NamedTuple):
    """What shows that a guard is missing: ``steps``, and what must be ``doubled`` after them."""

    guard: str
    steps: tuple[str, ...]
    doubled: str


CASES = (
    Case("transaction", ("start a kill sending 10", "ended a", "start a", "works a"), DECISIONS),
    Case(
        "fence",
        (
            *("start a freeze sent 10", "frozen a", "start b", "works b"),
            *("wake a", "wait 3"),
        ),
        DECISIONS,
    ),
    Case("restore-to-the-end", RESTARTED, DECISIONS),
    Case("position", RESTARTED, DEAD_LETTERS),
    Case("repeat-ring", ("start a", "works a", "wait 3"), DECISIONS),
    Case("seek-order", RESTARTED, DEAD_LETTERS),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.guard)
def test_without_it_something_is_doubled(case: Case, kafka_bootstrap: str) -> None:
    fault = WorkerFault(case.guard, GUARDS[case.guard].about, 1, (Way(case.steps),), rate=RATE)
    outcome = fault.run(kafka_bootstrap, 1, 7, None, print, without([case.guard]))
    print(outcome.compared.told())
    doubled = {difference.what for difference in outcome.compared.doubled}
    assert case.doubled in doubled, outcome.compared.told()


def test_a_sink_that_commits_before_it_writes_loses_rows(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    settings = fresh_kafka.model_copy(
        update={
            "sink": SinkSettings(max_records=200, max_age_seconds=0.2),
            "duckdb": DuckdbSettings(file=tmp_path / "learner.duckdb"),
        }
    )
    load = Load(settings.kafka.bootstrap_servers, 3_000, 3_000, seed=7)
    load.start()
    worker = CommandProcess("worker", settings, tmp_path / "worker.log")
    sink = CommandProcess(
        "sink duckdb",
        settings,
        tmp_path / "killed.log",
        without(["commit-after-write"]) | variables("writing", 3, "kill"),
    )
    try:
        assert sink.wait(60) < 0, (tmp_path / "killed.log").read_text()
        sink = CommandProcess("sink duckdb", settings, tmp_path / "sink.log")
        load.wait()
        until(lambda: lag(settings) == 0 and behind(settings, "duckdb") == 0, 60)
        (report,) = asyncio.run(
            run_audit(settings, [audit_of("duckdb", settings)], Asked(), lambda _: None)
        )
    finally:
        sink.kill()
        worker.kill()
        load.abandon()
    assert report.total("missing") > 0


def test_an_offset_folded_once_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read again from the beginning, as when no position stood beside the state."""
    lines = list(simulate(learners=5, days=150, seed=7))
    now = datetime.now(UTC)
    records = [Record(n, routing_key(line), line, now) for n, line in enumerate(lines)]
    trees = compile_trees(seed_trees())

    def read_twice() -> batch.Batch:
        tables = MemoryTables()
        tables.apply(process(records, tables, trees, Rules(), Source(EVENTS, 0)).tables.changed)
        return process(records, tables, trees, Rules(), Source(EVENTS, 0))

    again = read_twice()
    assert again.counts == {"replayed": len(records)}
    assert not again.dead_letters
    with monkeypatch.context() as patched:
        patched.setattr(batch, "_fold", batch._fold)  # put back afterwards
        GUARDS["offset-in-the-value"].take_out()
        again = read_twice()
    assert again.counts["dead"] > 0, "letters for events that were folded"


def test_every_guard_has_a_case() -> None:
    shown = {case.guard for case in CASES} | {"offset-in-the-value", "commit-after-write"}
    assert shown == GUARDS.keys()
