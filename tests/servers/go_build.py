"""Builds the test servers that come as Go modules, once, into ``.tools/``."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from servers.kafka_jars import ServerUnavailable, only_one

_BUILD_SECONDS = 900


def built_once(
    server: str, program: Path, tools: Sequence[str], build: Callable[[Path], Path]
) -> Path:
    """The program, whole or not at all: what ``build`` makes in a scratch folder, if need be.

    Args:
        server: for messages.
        program: ``.tools/NAME/VERSION/NAME``.
        tools: what must be on the PATH to build it.

    Raises:
        ServerUnavailable: a tool is missing, or it could not be built.
    """
    folder = program.parents[1]
    with only_one(folder):
        if program.is_file():
            return program
        for tool in tools:
            if shutil.which(tool) is None:
                raise ServerUnavailable(f"no {tool} on the PATH to build {server}", possible=False)
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            return build(Path(scratch)).replace(program)


def run_tool(server: str, command: list[str], folder: Path) -> str:
    """What one step of a build printed.

    Raises:
        ServerUnavailable: it failed, with the last line that it said.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ServerUnavailable(
            f"{server} was not built in {_BUILD_SECONDS} s: {command[:3]}", possible=True
        ) from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing said"]
        raise ServerUnavailable(
            f"{server} was not built: {command[:3]}: {said[-1][:200]}", possible=True
        )
    return done.stdout
