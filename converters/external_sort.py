"""Sorts more lines than memory holds: sorted runs in temporary files, merged."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import IO

RUN_LINES = 50_000


def externally_sorted(lines: Iterable[bytes], run_lines: int = RUN_LINES) -> Iterator[bytes]:
    """The same lines in byte order. None may contain a newline.

    Memory holds ``run_lines`` lines, however many there are; disk holds them all once.
    """
    with ExitStack() as files:
        runs: list[Iterator[bytes]] = []
        remaining = iter(lines)
        while run := sorted(islice(remaining, run_lines)):
            if len(run) < run_lines and not runs:
                yield from run
                return
            file = files.enter_context(tempfile.TemporaryFile())
            file.writelines(line + b"\n" for line in run)
            file.seek(0)
            runs.append(_lines(file))
        yield from heapq.merge(*runs)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    for line in file:
        yield line[:-1]
