"""A store's server for tests: a child process or a container; killed, frozen, started again.

Address and data stay the same until ``stop``. Each store has a file beside this one whose
``start()`` takes an engine if one answers, otherwise what is installed on the machine.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from servers.kafka import free_ports
from servers.kafka_jars import ServerUnavailable

_STOP_SECONDS = 20
_READY_SECONDS = 180
"""Test processes and a dozen servers share two cores: Elasticsearch needs 5 s alone, and has been
seen to need more than 60."""
_TOLD_LINES = 5


class StoreServer(Protocol):
    """What a test may do with a store. ``url`` and ``password`` are as our settings take them."""

    url: str
    password: str | None

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def freeze(self) -> None: ...
    def wake(self) -> None: ...


class GivenServer:
    """One that runs already, somewhere: its address from the environment, never stopped by us."""

    password: str | None = None

    def __init__(self, url: str) -> None:
        self.url = url

    def _not_ours(self) -> None:
        pytest.skip(f"{self.url} is not ours to stop")

    start = stop = kill = freeze = wake = _not_ours


class ChildServer:
    """A server installed on the machine.

    Args:
        name: for messages and the data folder.
        command: of (data folder, port), the command line; it must stay in the foreground.
        url: of the port, the address.
        ready: of the url; raises, or returns false, as long as the server does not answer.
        prepare: of the data folder, once, before the first start.
        environment: beside our own.
    """

    password: str | None = None

    def __init__(
        self,
        name: str,
        command: Callable[[Path, int], Sequence[str]],
        url: Callable[[int], str],
        ready: Callable[[str], object],
        prepare: Callable[[Path], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        (self.port,) = free_ports(1)
        self.data = Path(tempfile.mkdtemp(prefix=f"learner-{name}-"))
        self.url, self._url = url(self.port), url
        self.log = self.data.with_suffix(".log")
        self._name, self._command, self._ready = name, command, ready
        self._prepare, self._first = prepare, True
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Until it answers.

        Raises:
            ServerUnavailable: it ended or did not answer, with the last lines of its log.
        """
        if self._process is not None:
            return
        first, self._first = self._first, False
        if first and self._prepare is not None:
            self._prepare(self.data)
        try:
            self._run()
        except ServerUnavailable:
            if not first or b"in use" not in self.log.read_bytes():
                raise
            (self.port,) = free_ports(1)  # somebody was quicker
            self.url = self._url(self.port)
            self._run()

    def _run(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                list(self._command(self.data, self.port)),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a group of its own: all its processes get the signal
                env={**os.environ, **self._environment},
            )
        atexit.register(self.stop)
        limit = time.monotonic() + _READY_SECONDS
        while time.monotonic() < limit:
            if self._process.poll() is not None:
                self.kill()
                raise ServerUnavailable(f"{self._name} ended: {self._last_lines()}", possible=True)
            with contextlib.suppress(Exception):
                if self._ready(self.url) is not False:
                    return
            time.sleep(0.1)
        self.kill()
        raise ServerUnavailable(
            f"{self._name} at {self.url} did not answer: {self._last_lines()}", possible=True
        )

    def _last_lines(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return "\n".join(line[:300] for line in lines[-_TOLD_LINES:])

    def stop(self) -> None:
        """In good order, and its data with it."""
        self._end(signal.SIGTERM)
        atexit.unregister(self.stop)
        shutil.rmtree(self.data, ignore_errors=True)
        self.log.unlink(missing_ok=True)

    def kill(self) -> None:
        """``kill -9``; the data stays."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, how: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, how)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._signal(how)
        self._signal(signal.SIGCONT)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._process = None


class ContainerServer:
    """The same store in the image that users take, on a Docker engine."""

    def __init__(
        self,
        image: str,
        port: int,
        url: Callable[[int], str],
        ready: Callable[[str], object],
        environment: Mapping[str, str],
        password: str | None = None,
    ) -> None:
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415

        (outside,) = free_ports(1)
        self.url, self.password = url(outside), password
        self._image, self._ready = image, ready
        self._container: Any = DockerContainer(image).with_bind_ports(port, outside)
        for name, value in environment.items():
            self._container.with_env(name, value)
        self._made = False

    def start(self) -> None:
        if self._made:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._made = True
        limit = time.monotonic() + _READY_SECONDS
        while time.monotonic() < limit:
            with contextlib.suppress(Exception):
                if self._ready(self.url) is not False:
                    return
            time.sleep(0.2)
        raise ServerUnavailable(f"{self._image} at {self.url} did not answer", possible=True)

    def stop(self) -> None:
        if self._made:
            self._container.stop()
        self._made = False

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def freeze(self) -> None:
        self._container.get_wrapped_container().pause()

    def wake(self) -> None:
        self._container.get_wrapped_container().unpause()
