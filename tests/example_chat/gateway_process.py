"""A gateway in a process of its own, on a port that stays: killed, ended, and started again."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from pathlib import Path

from config.settings import Settings
from faults.command_process import CommandProcess

_SECONDS = 60


class GatewayProcess:
    """Answers once it is made. ``settings.chat.port`` must be given."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings, self._log = settings, log
        self.url = f"http://127.0.0.1:{settings.chat.port}"
        self.start()

    def start(self) -> None:
        self._process = CommandProcess("gateway", self.settings, self._log)
        ends = time.monotonic() + _SECONDS
        while not self._answers():
            assert self._process.alive, self._log.read_text()[-2000:]
            assert time.monotonic() < ends, "the gateway does not answer"
            time.sleep(0.1)

    def kill(self) -> None:
        self._process.kill()

    def terminate(self) -> int:
        """Its exit code."""
        return self._process.terminate()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
