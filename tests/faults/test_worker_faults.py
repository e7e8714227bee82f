"""Workers killed, frozen, joined and left under load: afterwards nothing is lost or doubled.

Each case is data: what is done to the workers, step by step, while events come in. Afterwards
tables, decisions, examples and dead letters on Kafka are compared with a replay of the log.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import pytest

from config.settings import Settings
from faults.command_process import CommandProcess
from faults.committed_records import lag
from faults.load import Load
from faults.log_oracle import compare_with_replay

SESSION_SECONDS = 10


class Case(NamedTuple):
    """``steps``: ``start N``, ``works N`` (it has taken a partition over), ``kill N``,
    ``freeze N``, ``wake N``, ``stop N``, ``wait S``."""

    name: str
    events: int
    rate: float
    steps: tuple[str, ...]


CASES = (
    Case("undisturbed", 4_000, 1_500, ("start 0",)),
    Case(
        "killed in mid-stream, three times",
        9_000,
        900,
        (
            *("start 0", "wait 4", "kill 0", "start 1", "wait 3", "kill 1"),
            *("start 2", "wait 2", "kill 2", "start 3"),
        ),
    ),
    Case(
        "a second worker joins and leaves",
        12_000,
        600,
        ("start 0", "wait 4", "start 1", "works 1", "wait 3", "stop 1", "wait 2"),
    ),
    Case(
        "frozen until its partitions have moved, and woken",
        18_000,
        600,
        (
            *("start 0", "start 1", "works 0", "works 1", "freeze 0"),
            *(f"wait {SESSION_SECONDS + 6}", "wake 0", "wait 3"),
        ),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_is_lost_or_doubled(case: Case, fresh_kafka: Settings, tmp_path: Path) -> None:
    load = Load(fresh_kafka.kafka.bootstrap_servers, case.events, case.rate, seed=len(case.name))
    workers: dict[str, CommandProcess] = {}
    try:
        load.start()
        for step in case.steps:
            _do(step, workers, fresh_kafka, tmp_path)
        load.wait()
        _wait_until_read(fresh_kafka, workers, tmp_path)
    finally:
        load.stop()
        load.wait()  # the next case has these topics anew
        for worker in workers.values():
            worker.kill()
    compared = compare_with_replay(
        fresh_kafka.kafka.bootstrap_servers,
        fresh_kafka.kafka.partitions,
        fresh_kafka.worker.app_id,
    )
    assert compared.events == case.events
    compared.assert_exact()


def _do(step: str, workers: dict[str, CommandProcess], settings: Settings, folder: Path) -> None:
    action, argument = step.split()
    match action:
        case "wait":
            time.sleep(float(argument))
        case "start":
            workers[argument] = CommandProcess(
                "worker", settings, folder / f"worker-{argument}.log"
            )
        case "works":
            _wait_until_working(workers[argument], folder / f"worker-{argument}.log")
        case "kill":
            workers[argument].kill()
        case "freeze":
            workers[argument].freeze()
        case "wake":
            workers[argument].wake()
        case "stop":
            assert workers[argument].terminate() == 0


def _wait_until_working(worker: CommandProcess, log: Path, seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while "partition taken over" not in log.read_text():
        assert worker.alive, log.read_text()[-2000:]
        assert time.monotonic() < ends, log.read_text()[-2000:]
        time.sleep(0.1)


def _wait_until_read(
    settings: Settings, workers: dict[str, CommandProcess], folder: Path, seconds: float = 90
) -> None:
    """Until every event's offset is committed; a worker that left is started again, as is usual."""
    ends = time.monotonic() + seconds
    while (behind := lag(settings)) > 0:
        if time.monotonic() > ends:
            logs = "".join(file.read_text()[-2000:] for file in sorted(folder.glob("*.log")))
            pytest.fail(f"{behind} events are still not read after {seconds} s\n{logs}")
        if not any(worker.alive for worker in workers.values()):
            name = f"again-{len(workers)}"
            workers[name] = CommandProcess("worker", settings, folder / f"worker-{name}.log")
        time.sleep(0.5)
