"""Inputs that the fuzzer found, kept as files: those that broke a decoder, and those that say
something of it that no other does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from fuzz.decoder import Decoder, outcome

FOUND = Path(__file__).parent / "found"
ROOT = Path(__file__).parents[2]
_OURS = tuple(
    str(ROOT / folder) + "/"
    for folder in ("schemas", "streams", "agents", "config", "converters", "api", "chat")
)


def found(decoder: Decoder) -> dict[str, bytes]:
    """By the name of their file."""
    folder = FOUND / decoder.name
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*"))}


def keep(decoder: Decoder, raw: bytes) -> Path:
    """Named after its content, so that it is there once."""
    file = FOUND / decoder.name / sha256(raw).hexdigest()[:16]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(raw)
    return file


def keep_new(decoder: Decoder, inputs: Iterable[bytes], most: int) -> list[Path]:
    """Keeps of the inputs, the shortest first, those by which something is seen for the first time.

    Args:
        most: how many are kept at most, with those that are there.
    """
    known = set[Any]()
    there = found(decoder)
    for raw in (*decoder.seeds, *there.values()):
        known |= what_is_seen(decoder, raw)
    kept: list[Path] = []
    for raw in sorted(inputs, key=lambda raw: (len(raw), raw)):
        if len(there) + len(kept) >= most:
            break
        if (seen := what_is_seen(decoder, raw)) - known:
            known |= seen
            kept.append(keep(decoder, raw))
    return kept


def what_is_seen(decoder: Decoder, raw: bytes) -> set[Any]:
    """The outcome, and the lines of ours that run for it."""
    lines: set[Any] = set()
    said: set[Any] = set()

    def broken_ones_too() -> None:
        with suppress(Exception):
            said.update(outcome(decoder, raw))

    _traced(broken_ones_too, lines)
    return lines | said


def _traced(call: Callable[[], None], lines: set[Any]) -> None:
    ours: dict[CodeType, bool] = {}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if code not in ours:
            ours[code] = code.co_filename.startswith(_OURS)
        if not ours[code]:
            return None
        lines.add((code.co_filename, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
