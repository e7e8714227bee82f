"""Workers under a supervisor: whichever leaves its process is started again after a pause."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import NamedTuple

from config.settings import Settings
from faults.command_process import CommandProcess

_PAUSE_SECONDS = 1.0
_LOOK_SECONDS = 0.2
_CLEAR = ("left: start it again", "no answer from Kafka", "no Kafka answers")
"""What a worker that left by itself must have said: what is wrong, or that a new start mends it."""


class Exit(NamedTuple):
    """A worker that left by itself, and the end of what it said."""

    code: int
    said: str

    @property
    def clear(self) -> bool:
        return self.code == 1 and any(words in self.said for words in _CLEAR)


class SupervisedWorkers:
    """``count`` workers at the start; more with `add`. ``exits`` are those that nobody asked for.

    Args:
        folder: for their logs, ``worker-N.log``, each of all that ran in one slot.
    """

    def __init__(self, settings: Settings, folder: Path, count: int = 1) -> None:
        self._settings, self._folder = settings, folder
        self._workers: list[CommandProcess] = []
        self._left_at: dict[int, float] = {}
        self._seen: dict[int, int] = {}
        self.exits: list[Exit] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        for _ in range(count):
            self.add()
        self._thread = threading.Thread(target=self._supervise, daemon=True)
        self._thread.start()

    def add(self) -> int:
        """One more; its number."""
        with self._lock:
            number = len(self._workers)
            self._workers.append(self._start(number))
            return number

    def kill(self, number: int = 0) -> None:
        """``kill -9``; the supervisor starts it again."""
        with self._lock:
            self._workers[number].kill()

    def freeze(self, number: int = 0) -> None:
        self._workers[number].freeze()

    def wake(self, number: int = 0) -> None:
        self._workers[number].wake()

    def stop(self) -> None:
        """Kills them all."""
        self._stopped.set()
        self._thread.join()
        for worker in self._workers:
            worker.kill()

    def log(self, number: int) -> str:
        return self._file(number).read_text(errors="replace")

    def last_words(self) -> str:
        return "\n".join(self.log(number)[-2_000:] for number in range(len(self._workers)))

    def log_lines(self) -> int:
        """How much they have said in all."""
        return sum(self.log(number).count("\n") for number in range(len(self._workers)))

    def _file(self, number: int) -> Path:
        return self._folder / f"worker-{number}.log"

    def _start(self, number: int) -> CommandProcess:
        file = self._file(number)
        self._seen[number] = file.stat().st_size if file.exists() else 0
        return CommandProcess("worker", self._settings, file)

    def _supervise(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            with self._lock:
                for number, worker in enumerate(self._workers):
                    if not worker.alive:
                        self._look_after(number, worker)

    def _look_after(self, number: int, worker: CommandProcess) -> None:
        now = time.monotonic()
        left_at = self._left_at.setdefault(number, now)
        if left_at == now and (code := worker.wait()) >= 0:  # below: by a signal, which was ours
            self.exits.append(Exit(code, self.log(number)[self._seen[number] :][-8_000:]))
        if now - left_at >= _PAUSE_SECONDS:
            del self._left_at[number]
            self._workers[number] = self._start(number)
