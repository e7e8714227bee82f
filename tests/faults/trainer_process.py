"""A `learner trainer` in a process of its own, to be killed and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from config.settings import Settings

COMMAND = [sys.executable, "-m", "cli.main", "trainer"]


class TrainerProcess:
    """Started with the settings' broker, app id and learning; its log goes to ``log``."""

    def __init__(self, settings: Settings, log: Path) -> None:
        learning = settings.trainer.model_dump(mode="json")
        environment = {
            **os.environ,
            **{f"LEARNER_TRAINER__{name.upper()}": str(value) for name, value in learning.items()},
            "LEARNER_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
            "LEARNER_WORKER__APP_ID": settings.worker.app_id,
            "LEARNER_LOG__FORMAT": "json",
        }
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                COMMAND, env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait(self, seconds: float = 30) -> int:
        """Its exit code.

        Raises:
            subprocess.TimeoutExpired: it did not end in time.
        """
        return self._process.wait(seconds)

    def terminate(self, seconds: float = 30) -> int:
        """Asks it to stop; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> None:
        """Whatever it is doing."""
        if self.alive:
            self._process.kill()
        self._process.wait(10)
