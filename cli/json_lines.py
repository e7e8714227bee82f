"""What goes to stdout for a program to read: JSON, one object a line; and what comes in so."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from pydantic_core import to_json

from schemas.errors import InvalidInput


def write_json(value: Any) -> None:
    """One line. Takes models, dataclasses, times and plain data."""
    write_lines((to_json(value),))


def write_lines(lines: Iterable[bytes]) -> None:
    """JSON documents, already encoded."""
    out = getattr(sys.stdout, "buffer", None)
    for line in lines:
        if out is None:
            sys.stdout.write(line.decode() + "\n")
        else:
            out.write(line + b"\n")


@contextmanager
def open_lines(source: str) -> Iterator[BinaryIO]:
    """A file of JSON lines, or stdin for ``-``.

    Raises:
        InvalidInput: it cannot be opened.
    """
    if source == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(source, "rb")  # noqa: SIM115
    except OSError as error:
        raise InvalidInput(f"{source}: {error.strerror}") from None
    with file:
        yield file
