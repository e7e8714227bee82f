"""What goes to stdout for a program to read: JSON, one object a line; and what comes in so."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from msgspec import to_builtins
from pydantic_core import to_json

from schemas.errors import InvalidInput


def write_json(value: Any) -> None:
    """One line. Takes models, contracts, dataclasses, times and plain data."""
    write_lines((to_json(value, fallback=to_builtins),))


def write_lines(lines: Iterable[bytes]) -> None:
    """JSON documents, already encoded."""
    out = getattr(sys.stdout, "buffer", None)
    for line in lines:
        if out is None:
            sys.stdout.write(line.decode() + "\n")
        else:
            out.write(line + b"\n")


LONGEST_LINE = 4 * 1024 * 1024
"""Bytes; what a line has beyond is skipped, so that no input can fill the memory."""


@contextmanager
def open_lines(source: str) -> Iterator[Iterator[bytes]]:
    """The lines of a file, or of stdin for ``-``, with their ends.

    Raises:
        InvalidInput: it cannot be opened.
    """
    if source == "-":
        yield _lines(sys.stdin.buffer)
        return
    try:
        file = open(source, "rb")  # noqa: SIM115
    except OSError as error:
        raise InvalidInput(f"{source}: {error.strerror}") from None
    with file:
        yield _lines(file)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(LONGEST_LINE):
        yield line
        while line and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE)
