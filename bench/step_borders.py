"""Says to a meter where each stage of the pure step begins and ends, by wrapping its functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Protocol

import streams.batch
import streams.chat_record
import streams.decide
import streams.seen
import streams.step
from bench import step_work
from streams.tables import MemoryTables, Overlay

BORDERS: tuple[tuple[Any, str, str], ...] = (
    (streams.batch, "decode", "decode"),
    (streams.batch, "reject_too_late", "guard"),
    (streams.seen, "event_token", "guard"),
    (streams.seen, "find", "guard"),
    (streams.batch, "_forget", "guard"),
    (streams.step, "fold_profile", "profile"),
    (streams.step, "fold_behavior", "behaviour"),
    (streams.step, "fold_engagement", "engagement"),
    (streams.step, "settle", "settle"),
    (streams.step, "open_example", "settle"),
    (streams.step, "extract", "features"),
    (streams.decide, "score", "trees"),
    (streams.chat_record, "score", "trees"),
    (streams.step, "decide", "decisions"),
    (streams.step, "chat_record", "decisions"),
    (step_work, "process", "step"),
    (step_work, "encode_batch", "encode"),
    *((Overlay, name, "table") for name in ("profile", "behavior", "engagement", "seen")),
    *((Overlay, f"put_{name}", "table") for name in ("profile", "behavior", "engagement", "seen")),
    (MemoryTables, "apply", "table"),
)
"""Where a function is looked up, its name there, and its stage."""
MEASURED = tuple(dict.fromkeys(stage for _, _, stage in BORDERS))
"""Every stage that the pure step has."""


class Meter(Protocol):
    """Counts something for the stage that was entered last and not left yet."""

    def enter(self, stage: str) -> None: ...

    def leave(self) -> None: ...


@contextmanager
def metered(meter: Meter) -> Iterator[None]:
    """Every border tells the meter while the block lasts.

    Raises:
        AttributeError: a function is no longer where `BORDERS` says.
    """
    before = [(place, name, getattr(place, name)) for place, name, _ in BORDERS]
    try:
        for (place, name, function), (_, _, stage) in zip(before, BORDERS, strict=True):
            setattr(place, name, bordered(function, stage, meter))
        yield
    finally:
        for place, name, function in before:
            setattr(place, name, function)


def bordered(function: Callable[..., Any], stage: str, meter: Meter) -> Callable[..., Any]:
    """The same function, which tells the meter when it is entered and left."""
    enter, leave = meter.enter, meter.leave

    @wraps(function)
    def told(*args: Any) -> Any:
        enter(stage)
        try:
            return function(*args)
        finally:
            leave()

    return told
