"""No room under the embedded file: its sink waits, or leaves and says why, and has everything in it
once there is room again."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from config.settings import DuckdbSettings, Settings, SinkSettings
from faults.fault import Outcome, Progress, on_fresh_topics
from faults.load import Load
from faults.running_sinks import Sinks, sinks
from faults.small_disk import SmallDisk, small_disk
from faults.stores_under_load import (
    AWAY,
    compared_under_load,
    seconds_to_catch_up,
    wait_until_begun,
)
from servers.kafka import Kafka

_STORE = "duckdb"
_DISK_MB = 192
_MOST_LEFT = 512 * 1024
_NOTICED_SECONDS = 60.0
_FULL = "No space left on device"
"""What the sink must say."""


class DiskFullFault(NamedTuple):
    """A round fills the disk but for a little, until the sink has met it and some seconds more."""

    name: str
    about: str
    asked: int
    together: int = 5
    longest: float = 15
    rate: float = 100

    def run(
        self,
        bootstrap: str,
        rounds: int,
        seed: int,
        broker: Kafka | None = None,
        progress: Progress = lambda _: None,
    ) -> Outcome:
        """See `faults.fault.Fault`.

        Raises:
            ServerUnavailable: no small disk can be made here.
        """
        began, chance = time.monotonic(), random.Random(f"{self.name}/{seed}")
        left, slowest = 0, 0.0
        with (
            tempfile.TemporaryDirectory(prefix="learner-faults-") as folder,
            small_disk(_DISK_MB) as disk,
        ):
            settings = _on(disk.folder, on_fresh_topics(bootstrap))

            def fill_and_free(running: Sinks) -> None:
                nonlocal left, slowest
                wait_until_begun(settings, running, _STORE)
                for number in range(rounds):
                    room = chance.randrange(_MOST_LEFT)
                    progress(f"{self.name} seed {seed}, round {number + 1}: {room} bytes left")
                    _fill_until_met(disk, room, running)
                    time.sleep(chance.uniform(1, self.longest))
                    disk.free()
                    left += _start_again_if_it_left(running)
                    slowest = max(slowest, seconds_to_catch_up(settings, running, _STORE))

            with sinks(settings, Path(folder), (_STORE,)) as running:
                compared = compared_under_load(
                    settings, running, Load(bootstrap, None, self.rate, seed), fill_and_free
                )
        notes = {"sinks_left": float(left), "slowest_catch_up": round(slowest, 1)}
        return Outcome(rounds, compared, time.monotonic() - began, notes)


def _on(disk: Path, settings: Settings) -> Settings:
    sections = {
        "duckdb": DuckdbSettings(file=disk / "learner.duckdb"),
        "sink": SinkSettings(max_records=200, max_age_seconds=0.2, retry_longest_seconds=1),
    }
    return settings.model_copy(update=sections)


def _fill_until_met(disk: SmallDisk, room: int, running: Sinks) -> None:
    """Until the sink has said that the store is away once more, or has left. Less and less room is
    left: inside the file there may be some too.

    Raises:
        AssertionError: it says something else, or nothing.
    """
    before, ends = running.said(_STORE), time.monotonic() + _NOTICED_SECONDS
    while running.processes[_STORE].alive and (
        running.said(_STORE).count(AWAY) == before.count(AWAY)
    ):
        assert time.monotonic() < ends, running.said(_STORE)[-3000:]
        disk.fill(room)
        room //= 2
        time.sleep(1)
    said = running.said(_STORE)[len(before) :]
    assert _FULL in said, said[-3000:]


def _start_again_if_it_left(running: Sinks) -> bool:
    if running.processes[_STORE].alive:
        return False
    running.processes[_STORE] = running.start(_STORE)
    return True
