"""A long-running command of ours in a process of its own: to be killed, frozen, woken and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from config.loading import variable
from config.settings import Settings

_ROOT = Path(__file__).parents[2]
_FINDS_TESTS = {"PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'tests'}"}
"""In this order: tests/config is no config."""


class CommandProcess:
    """``learner COMMAND …`` with exactly these settings; what it says goes to the file ``log``.

    ``fault``: variables of `faults.command_at_a_moment`, which then runs it.
    """

    def __init__(
        self, command: str, settings: Settings, log: Path, fault: Mapping[str, str] | None = None
    ) -> None:
        module = "faults.command_at_a_moment" if fault else "cli.main"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *command.split()],
                env={**environment(settings), **(_FINDS_TESTS | fault if fault else {})},
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait(self, seconds: float = 30) -> int:
        """Its exit code.

        Raises:
            subprocess.TimeoutExpired: it did not end in time.
        """
        return self._process.wait(seconds)

    @property
    def frozen(self) -> bool:
        """Whether it was stopped, by whomever."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    def terminate(self, seconds: float = 30) -> int:
        """Asks it to stop; its exit code."""
        self._send(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> None:
        """Whatever state it is in."""
        self._send(signal.SIGKILL)
        self._process.wait(10)

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def wake(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, how: signal.Signals) -> None:
        if self.alive:
            os.kill(self._process.pid, how)


def environment(settings: Settings) -> dict[str, str]:
    """Ours, with every setting as a variable."""
    given = {
        variable(f"{section}.{field}"): _text(value)
        for section, group in settings
        for field, value in group
        if value is not None
    }
    return {**os.environ, **given}


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return json.dumps(value)
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
