"""A contender's process: what it is told on its command line, and what it tells of its run.

It tells by lines: `READY` once, if it was told how many partitions it must own, and at its end
the run as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from config.settings import KafkaSettings, Settings, WorkerSettings

READY = "ready"
_ROOT = Path(__file__).parents[1]
_LONGEST_SECONDS = 600


class Contender(NamedTuple):
    """``module`` is run by ``python``; one not ``on_kafka`` reads the events and sends nothing."""

    module: str
    python: Path = Path(sys.executable)
    on_kafka: bool = True


_QUIX = _ROOT / ".venv" / "bench" / "bin" / "python"
CONTENDERS = {
    "lists": Contender("bench.contender"),
    "per_event": Contender("bench.contender"),
    "unguarded": Contender("bench.contender"),
    "sampled": Contender("bench.sampled_worker"),
    "quix": Contender("bench.quix_worker", _QUIX),
    "step": Contender("bench.step_alone", on_kafka=False),
    "step_of_quix": Contender("bench.step_alone", _QUIX, on_kafka=False),
}
"""``step_of_quix``: with the releases that Quix Streams brings, pydantic above all."""


class Told(NamedTuple):
    """``events`` to handle; ``core`` to be pinned to; ``own``: say `READY` at so many partitions.

    ``batch_records``: how many the step takes at once, where Kafka does not give them.
    """

    kind: str
    bootstrap: str
    app_id: str
    partitions: int
    events: int
    core: int | None = None
    own: int | None = None
    batch_records: int = 500

    @property
    def settings(self) -> Settings:
        return Settings(
            _env_file=None,
            kafka=KafkaSettings(bootstrap_servers=self.bootstrap, partitions=self.partitions),
            worker=WorkerSettings(app_id=self.app_id),
        )


class Run(NamedTuple):
    """``events`` handled between two moments of the machine's clock, seconds.

    ``cpu_seconds`` of the process meanwhile. ``batch_records``: in a batch on average, where
    the contender has batches. ``decisions``: their digest (`bench.results_agree`), where they are
    on no topic.
    """

    events: int
    began: float
    ended: float
    cpu_seconds: float
    batch_records: float | None = None
    decisions: str | None = None

    @property
    def events_per_s(self) -> float:
        return self.events / (self.ended - self.began)

    @property
    def cpu_us(self) -> float:
        """Of its processor, an event."""
        return 1e6 * self.cpu_seconds / self.events


class Clock:
    """Runs from its making, when ``handled`` events were handled already."""

    def __init__(self, handled: int) -> None:
        self._handled = handled
        self._began, self._cpu = time.perf_counter(), time.process_time()

    def stopped(self, handled: int) -> Run:
        cpu, ended = time.process_time() - self._cpu, time.perf_counter()
        return Run(handled - self._handled, self._began, ended, cpu)


@contextmanager
def started(told: Told) -> Iterator[subprocess.Popen[str]]:
    """The contender, in a process that ends with the block."""
    contender = CONTENDERS[told.kind]
    command = [str(contender.python), "-m", contender.module, json.dumps(told)]
    # As `make bench` sets it, for a test that starts one too.
    env = os.environ | {"PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'tests'}"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=_ROOT, env=env
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    """Raises: SystemExit: it ended before."""
    if not any(line.strip() == READY for line in _lines(process)):
        raise SystemExit("a contender ended before it was ready")


def run_of(process: subprocess.Popen[str]) -> Run:
    """What it tells at its end; see `said_by`."""
    return Run(*said_by(process))


def said_by(process: subprocess.Popen[str]) -> Any:
    """The JSON that it tells at its end.

    Raises:
        SystemExit: it tells nothing, or is not through in time.
    """
    last = deque(_lines(process), maxlen=1)
    if process.wait() or not last:
        raise SystemExit(f"a contender left with {process.returncode}")
    return json.loads(last[0])


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """What it says, its log too, until it ends or has had its time."""
    assert process.stdout is not None
    timer = threading.Timer(_LONGEST_SECONDS, process.kill)
    timer.start()
    try:
        # Not the file itself, which would be closed with the first reader.
        yield from iter(process.stdout.readline, "")
    finally:
        timer.cancel()


def told() -> Told:
    """What this process was told; it is on its core from then on."""
    parser = argparse.ArgumentParser()
    parser.add_argument("told", help="JSON")
    told = Told(*json.loads(parser.parse_args().told))
    if told.core is not None:
        os.sched_setaffinity(0, {told.core})
    return told


def leave(error: BaseException) -> None:
    """What a worker does that cannot go on."""
    sys.stderr.write(f"the worker left: {error!r}\n")
    os._exit(1)


def tell(line: str | Run) -> None:
    sys.stdout.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
    sys.stdout.flush()
