"""A `learner worker` in a process of its own, to be killed, frozen, woken and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from config.settings import Settings

COMMAND = [sys.executable, "-m", "cli.main", "worker"]


class WorkerProcess:
    """Started with the settings' broker and app id; its log goes to ``log``."""

    def __init__(self, settings: Settings, log: Path, *, pin_trees: bool = True) -> None:
        self.log = log
        environment = {
            **os.environ,
            "LEARNER_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
            "LEARNER_KAFKA__PARTITIONS": str(settings.kafka.partitions),
            "LEARNER_WORKER__APP_ID": settings.worker.app_id,
            "LEARNER_WORKER__PIN_TREES": str(pin_trees),
            "LEARNER_LOG__FORMAT": "json",
        }
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                COMMAND, env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._send(signal.SIGKILL)
        self._process.wait(10)

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def wake(self) -> None:
        self._send(signal.SIGCONT)

    def terminate(self, seconds: float = 15) -> int:
        """Asks it to stop; its exit code.

        Raises:
            subprocess.TimeoutExpired: it did not end in time.
        """
        self._send(signal.SIGTERM)
        return self._process.wait(seconds)

    def end(self) -> None:
        """Whatever state it is in."""
        if self.alive:
            self.kill()

    def _send(self, how: signal.Signals) -> None:
        if self.alive:
            os.kill(self._process.pid, how)
