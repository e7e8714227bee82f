"""A fault of workers as data, and its rounds: load and faults together, then one comparison.

What a step does stands in `FaultRun.do`; ``2..9`` in one is a number that the seed draws, ``a|b`` a
choice that it makes. So the same seed gives the same input and the same steps; when exactly a step
meets an event is up to the machine.
"""

from __future__ import annotations

import random
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from agents.learner import MOST_RECORDS
from config.settings import Settings
from faults.changelog_state import compact_hard, records_per_key, tombstones
from faults.command_at_a_moment import variables
from faults.committed_records import lag
from faults.fault import Outcome, Progress, on_fresh_topics
from faults.load import Load
from faults.log_oracle import compare_with_replay
from faults.small_disk import SmallDisk, small_disk
from faults.state_on_disk import leave_as_an_older_version_would, with_state_on_disk
from faults.worker_slots import WorkerSlots
from servers.kafka import Kafka

STOP_SECONDS = 10.0
"""Within which a worker that is asked to stop has stopped (issue 6)."""
_READ_SECONDS = 180.0
_RANGE = re.compile(r"(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?)")


class Way(NamedTuple):
    """One way to do it: the steps of ``rounds`` rounds."""

    steps: tuple[str, ...]
    rounds: int = 1


class WorkerFault(NamedTuple):
    """``asked``: rounds that issue 6 wants. ``ways`` come in turn; ``together`` rounds share one
    log, one load of ``rate`` events a second and one comparison, after the steps to ``begin`` with.
    ``on_disk``: state is, in one folder for all workers; ``disk_megabytes``: on a disk of its own.
    """

    name: str
    about: str
    asked: int
    ways: tuple[Way, ...]
    begin: tuple[str, ...] = ()
    together: int = 15
    rate: float = 300
    partitions: int = 4
    on_disk: bool = False
    disk_megabytes: int | None = None

    def run(
        self,
        bootstrap: str,
        rounds: int,
        seed: int,
        broker: Kafka | None = None,
        progress: Progress = lambda _: None,
        without: Mapping[str, str] | None = None,
    ) -> Outcome:
        """At least ``rounds`` rounds on fresh topics, and what they left.

        Args:
            broker: for faults that kill it.
            without: guards taken out (`faults.command_at_a_moment.without`).
        """
        began = time.monotonic()
        settings = on_fresh_topics(bootstrap, self.partitions)
        done = 0
        with _run(self, broker, settings, seed, without) as run:
            for step in self.begin:
                run.do(step)
            chance = random.Random(f"{self.name}/{seed}")
            first = chance.randrange(len(self.ways)) if rounds < len(self.ways) else 0
            while done < rounds:
                way = self.ways[(first + run.ways_gone) % len(self.ways)]
                steps = [drawn(step, chance) for step in way.steps]
                progress(f"{self.name} seed {seed}, round {done + way.rounds}: {', '.join(steps)}")
                for step in steps:
                    run.do(step)
                run.ways_gone += 1
                done += way.rounds
            progress(f"{self.name} seed {seed}: reading what is left, comparing")
            run.settle()
            compared = compare_with_replay(
                bootstrap, self.partitions, settings.worker.app_id, run.load.bad
            )
            notes = run.notes(compared.events)
        return Outcome(done, compared, time.monotonic() - began, notes)


def drawn(step: str, chance: random.Random) -> str:
    """The step with its ranges and choices drawn."""

    def number(found: re.Match[str]) -> str:
        low, high = found.groups()
        if low.isdigit() and high.isdigit():
            return str(chance.randint(int(low), int(high)))
        return f"{chance.uniform(float(low), float(high)):.2f}"

    words = (chance.choice(word.split("|")) for word in _RANGE.sub(number, step).split())
    return " ".join(words)


class FaultRun:
    """Load, workers and broker of one run."""

    def __init__(
        self,
        broker: Kafka | None,
        disk: SmallDisk | None,
        settings: Settings,
        workers: WorkerSlots,
        load: Load,
    ) -> None:
        self._broker, self._disk, self._settings = broker, disk, settings
        self._folder = settings.worker.state_folder or Path()
        self.workers, self.load = workers, load
        self.ways_gone = 0
        self._killed = False
        self._compacting = False

    def do(self, step: str) -> None:
        """One step.

        ``start SLOT``, ``start SLOT kill|freeze MOMENT NTH`` (by itself, then), ``works SLOT``,
        ``ended SLOT``, ``frozen SLOT``, ``leaves SLOT``, ``kill SLOT``, ``freeze SLOT``,
        ``wake SLOT``, ``stop SLOT``, ``wait SECONDS``, ``broker kill|start``, ``caught-up``,
        ``compact``, ``state deleted|older`` (nobody works then), ``disk full|room``.
        """
        action, *words = step.split()
        match action, words:
            case "wait", [seconds]:
                time.sleep(float(seconds))
            case "start", [slot]:
                self.workers.start(slot)
            case "start", [slot, does, moment, nth]:
                self._killed = True
                self.workers.start(slot, variables(moment, int(nth), does))
            case "kill" | "freeze" | "wake", [slot]:
                self._killed = True
                getattr(self.workers, action)(slot)
            case "works" | "ended" | "frozen" | "leaves" | "stop", [slot]:
                getattr(self.workers, action)(slot)
            case "broker", ["kill" | "start" as what]:
                getattr(self._broker, what)()
                self._killed = True
            case "caught-up", []:
                self._until_lag(2_000)
            case "state", ["deleted"]:
                shutil.rmtree(self._folder)
            case "state", ["older"]:
                leave_as_an_older_version_would(self._folder)
            case "disk", ["full" | "room" as what]:
                assert self._disk is not None
                self._killed = True  # whoever cannot write leaves
                self._disk.fill() if what == "full" else self._disk.free()
            case "compact", []:
                compact_hard(self._settings)
                self._compacting = True
            case _:
                raise ValueError(f"no such step: {step}")

    def settle(self) -> None:
        """Ends the load, and has everything read that was sent."""
        self.load.stop()
        self.load.wait()
        if not self.workers.slots:
            self.workers.start("z")
        self._until_lag(0)
        if not self._killed:
            self.workers.stop_all()

    def notes(self, events: int) -> dict[str, float]:
        """Figures beside the comparison.

        Raises:
            AssertionError: a stop took too long, or more than a batch of it was handled again.
        """
        notes: dict[str, float] = {
            "left": self.workers.left,
            "tombstones": tombstones(self._settings),
        }
        if self._compacting:
            notes["records_per_key"] = round(records_per_key(self._settings), 1)
        if not self._killed:
            again = self.workers.handled.total() - events
            notes |= {"handled_again": again, "slowest_stop": round(self.workers.slowest_stop, 1)}
            assert self.workers.slowest_stop <= STOP_SECONDS, notes
            assert 0 <= again <= self.workers.stops * MOST_RECORDS, notes
        return notes

    def _until_lag(self, most: int) -> None:
        ends = time.monotonic() + _READ_SECONDS
        while (behind := lag(self._settings)) > most:
            self.workers.revive()
            assert time.monotonic() < ends, (
                f"{behind} events are not read after {_READ_SECONDS:.0f} s\n"
                + "\n".join(self.workers.log(slot) for slot in self.workers.slots)
            )
            time.sleep(0.3)


@contextmanager
def _run(
    fault: WorkerFault,
    broker: Kafka | None,
    settings: Settings,
    seed: int,
    without: Mapping[str, str] | None,
) -> Iterator[FaultRun]:
    load = Load(settings.kafka.bootstrap_servers, None, fault.rate, seed)
    with (
        tempfile.TemporaryDirectory(prefix="learner-faults-") as folder,
        ExitStack() as stack,
    ):
        disk, state = None, Path(folder) / "state"
        if fault.disk_megabytes is not None:
            disk = stack.enter_context(small_disk(fault.disk_megabytes))
            state = disk.folder / "state"
        if fault.on_disk:
            settings = with_state_on_disk(settings, state)
        workers = WorkerSlots(settings, Path(folder), without)
        try:
            load.start()
            yield FaultRun(broker, disk, settings, workers, load)
        finally:
            workers.kill_all()
            load.abandon()
