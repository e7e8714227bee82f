"""Workers in named slots: started, killed, frozen, woken, stopped, and begun anew if one left."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from config.settings import Settings
from faults.command_process import CommandProcess

TAKEN_OVER = "partition taken over"
KILLED = -signal.SIGKILL
_WAIT_SECONDS = 240.0


class WorkerSlots:
    """A slot's name is its workers' ``instance_id``, so that the next one waits no session timeout
    to take its place. Those in ``n…`` have none: when one stops, it leaves the group at once.

    ``fault`` is given to every start (guards taken out). ``handled``: records by outcome, of the
    workers that ended in good order. ``left``: how often one ended by itself.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        fault: Mapping[str, str] | None = None,
    ) -> None:
        self._settings, self._folder, self._fault = settings, folder, dict(fault or {})
        self._processes: dict[str, CommandProcess] = {}
        self._logs: dict[str, Path] = {}
        self._starts = 0
        self.handled: Counter[str] = Counter()
        self.stops = 0
        self.slowest_stop = 0.0
        self.left = 0

    def start(self, slot: str, fault: Mapping[str, str] | None = None) -> None:
        """Kills what is in the slot first."""
        self.kill(slot)
        self._starts += 1
        name = None if slot.startswith("n") else slot
        worker = self._settings.worker.model_copy(update={"instance_id": name})
        settings = self._settings.model_copy(update={"worker": worker})
        log = self._folder / f"worker-{self._starts:04}-{slot}.log"
        self._processes[slot] = CommandProcess(
            "worker", settings, log, {**self._fault, **(fault or {})}
        )
        self._logs[slot] = log

    def works(self, slot: str) -> None:
        """Waits until it has taken a partition over."""

        def has_taken_over() -> bool:
            self.revive()
            return TAKEN_OVER in self._logs[slot].read_text()

        self._until(has_taken_over, slot, "works")

    def ended(self, slot: str) -> None:
        """Waits until it has killed itself, at the moment it was given."""
        self._until(lambda: not self._processes[slot].alive, slot, "has ended")
        code = self._processes.pop(slot).wait()
        assert code == KILLED, f"{slot} left with {code} before its moment\n{self.log(slot)}"

    def frozen(self, slot: str) -> None:
        """Waits until it has frozen itself."""
        self._until(lambda: self._processes[slot].frozen, slot, "is frozen")

    def leaves(self, slot: str) -> None:
        """Waits until it leaves by itself; it is started again."""
        process = self._processes[slot]
        self._until(lambda: not process.alive, slot, "has left")
        self.revive()

    def kill(self, slot: str) -> None:
        if (process := self._processes.pop(slot, None)) is not None:
            process.kill()

    def freeze(self, slot: str) -> None:
        self._processes[slot].freeze()

    def wake(self, slot: str) -> None:
        self._processes[slot].wake()

    def stop(self, slot: str) -> None:
        """In good order, and in time."""
        began = time.monotonic()
        code = self._processes.pop(slot).terminate()
        seconds = time.monotonic() - began
        assert code == 0, f"{slot} stopped with {code}\n{self.log(slot)}"
        self.stops += 1
        self.slowest_stop = max(self.slowest_stop, seconds)
        self.handled.update(json.loads(self._logs[slot].read_text().splitlines()[-1]))

    def stop_all(self) -> None:
        for slot in list(self._processes):
            self.stop(slot)

    def kill_all(self) -> None:
        for slot in list(self._processes):
            self.kill(slot)

    def revive(self) -> None:
        """Starts again whatever has left its slot by itself, as a supervisor does."""
        for slot, process in list(self._processes.items()):
            if not process.alive and process.wait() != KILLED:
                self.left += 1
                self.start(slot)

    def log(self, slot: str) -> str:
        return self._logs[slot].read_text()[-3000:]

    @property
    def slots(self) -> list[str]:
        """Those in which one was started, and neither killed nor stopped since."""
        return sorted(self._processes)

    def _until(self, condition: Callable[[], bool], slot: str, what: str) -> None:
        ends = time.monotonic() + _WAIT_SECONDS
        while not condition():
            assert time.monotonic() < ends, (
                f"{slot} is not what it should be: {what}\n{self.log(slot)}"
            )
            time.sleep(0.05)
