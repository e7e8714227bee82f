"""Sorting more lines than fit in memory: sorted runs in temporary files, merged."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import IO

LINES_IN_MEMORY = 5_000
FAN_IN = 64
"""So many runs of one size are merged into one: few open files, and a line is written again once
for each factor of 64."""


def sorted_lines(
    lines: Iterable[bytes], lines_in_memory: int = LINES_IN_MEMORY, fan_in: int = FAN_IN
) -> Iterator[bytes]:
    """The same lines in the order of their bytes.

    A line may hold no newline. Memory holds ``lines_in_memory`` of them, however many there are;
    the rest is in temporary files without a name, which are gone when the iterator is.
    """
    source = iter(lines)
    with ExitStack() as files:
        # Runs by how often they were merged, as in a log-structured merge tree (O'Neil 1996).
        levels: list[list[IO[bytes]]] = [[]]
        while run := sorted(islice(source, lines_in_memory)):
            if len(run) < lines_in_memory and not any(levels):
                yield from run
                return
            levels[0].append(_written(files, run))
            for level, runs in enumerate(levels):
                if len(runs) < fan_in:
                    break
                if level + 1 == len(levels):
                    levels.append([])
                levels[level + 1].append(_written(files, _merged(runs)))
                for file in runs:
                    file.close()
                runs.clear()
        yield from _merged([file for runs in levels for file in runs])


def _written(files: ExitStack, lines: Iterable[bytes]) -> IO[bytes]:
    file = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    file.writelines(line + b"\n" for line in lines)
    file.seek(0)
    return file


def _merged(runs: list[IO[bytes]]) -> Iterator[bytes]:
    # Without their ends: a byte may sort before a newline.
    return heapq.merge(*((line[:-1] for line in file) for file in runs))
