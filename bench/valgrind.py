"""Instructions of the processor by stage, counted by Valgrind's callgrind, C code included.

A virtual machine often has no counters that perf_event_open(2) could ask for; Valgrind
runs the program on a processor of its own that counts. It is slow (some fifty times) and the same
from run to run, give or take what depends on where memory lies.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.step_borders import bordered

_REQUEST_AT = bytes.fromhex("48bf")
_ASK = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
"""Machine code of ``valgrind.h`` for x86-64: the request's address into a register, then four turns
that change nothing, by which Valgrind knows it. It returns 0 on a real processor."""
_RUNNING_ON_VALGRIND = 0x1001
_CALLGRIND = ord("C") << 24 | ord("T") << 16
_ZERO, _TOGGLE, _DUMP_AS, _START, _STOP = (_CALLGRIND + at for at in (1, 2, 3, 4, 5))
CROSSINGS = 200
"""In one call of `crossings`."""


class Callgrind:
    """What a program may ask of callgrind; does nothing where it does not run on it."""

    def __init__(self) -> None:
        self._kept: list[Any] = []
        #: Begins to count, or ends it.
        self.toggle: Callable[[], int] = self._request(_TOGGLE)

    @property
    def runs(self) -> bool:
        return self._request(_RUNNING_ON_VALGRIND)() > 0

    def count(self, name: str, work: Callable[[], Any]) -> None:
        """Writes what is counted while the work toggles, under ``name``."""
        text = ctypes.create_string_buffer(name.encode())
        for ask in (self._request(_START), self._request(_ZERO)):
            ask()
        work()
        for ask in (self._request(_DUMP_AS, ctypes.addressof(text)), self._request(_STOP)):
            ask()

    def _request(self, *words: int) -> Callable[[], int]:
        """A function of machine code, so that a toggle has few instructions of its own."""
        request = (ctypes.c_ulong * 6)(*words)
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(_REQUEST_AT + ctypes.addressof(request).to_bytes(8, "little") + _ASK)
        self._kept += [request, page]
        function = ctypes.addressof(ctypes.c_char.from_buffer(page))
        return ctypes.PYFUNCTYPE(ctypes.c_ulong)(function)


class Collector:
    """A meter (`bench.step_borders`) that counts one stage, and none that is entered from it."""

    def __init__(self, callgrind: Callgrind, stage: str) -> None:
        self.entered = self.left_for_another = 0
        self._toggle, self._stage = callgrind.toggle, stage
        self._stages = ["other"]

    def enter(self, stage: str) -> None:
        wanted, before = self._stage, self._stages[-1]
        self._stages.append(stage)
        if stage == wanted:
            if before != wanted:
                self.entered += 1
                self._toggle()
        elif before == wanted:
            self.left_for_another += 1
            self._toggle()

    def leave(self) -> None:
        wanted = self._stage
        left = self._stages.pop()
        if (left == wanted) != (self._stages[-1] == wanted):
            self._toggle()


def crossings(callgrind: Callgrind, kind: str) -> None:
    """Again and again enters a stage that does nothing (``entered``), or leaves one for another
    that does nothing (``left_for_another``): what is counted is what telling a meter takes."""
    meter = Collector(callgrind, "a")
    empty = bordered(lambda: None, "b" if kind == "left_for_another" else "a", meter)

    def enters() -> None:
        for _ in range(CROSSINGS):
            empty()

    if kind == "left_for_another":
        enters = bordered(enters, "a", meter)
    enters()


def valgrind_works() -> bool:
    """Whether it is installed, and this is a processor for which we know how to ask it."""
    return shutil.which("valgrind") is not None and platform.machine() == "x86_64"


def counted_under_valgrind(module: str, *args: str) -> tuple[dict[str, int], str]:
    """Runs ``python -m module``: by name, the instructions of each `Callgrind.count` in it, and
    what it prints.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no"]
        command += [f"--callgrind-out-file={out}", f"--log-file={folder}/log"]
        done = subprocess.run(
            [*command, sys.executable, "-m", module, *args],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=300,
        )
        counted = dict(_counted(file.read_text()) for file in Path(folder).glob("out.*"))
        return counted, done.stdout


def _counted(dump: str) -> tuple[str, int]:
    name = re.search(r"^desc: Trigger: Client Request: (.+)$", dump, re.MULTILINE)
    total = re.search(r"^(?:totals|summary): (\d+)", dump, re.MULTILINE)
    assert name is not None
    return name[1], int(total[1]) if total is not None else 0
