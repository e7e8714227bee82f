"""What every decoder of bytes from outside owes: a value that holds, or the one error it documents.

    refused     the documented error, and no other
    taken       a value that is the same again when it is written and read
    either way  within `MOST_SECONDS` of CPU

What is checked beyond that stands in the decoder's own ``read``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson
from pydantic import ValidationError

from schemas.sample_records import SAMPLES

MOST_SECONDS = 5.0
"""Of CPU for one input; a usual one takes a millisecond, so this holds on slow machines too."""


class ContractBroken(AssertionError):
    """A decoder did what it may not."""


class Decoder(NamedTuple):
    """``read`` makes a value of bytes; ``None`` is "no such thing", where that is how it is told.

    Args:
        refuses: the documented error.
        seeds: inputs to begin with, valid and not.
        write: the value's bytes, as whoever sends such values writes them; ``None`` where none is
            written.
        longest: bytes of the longest input that is worth trying.
    """

    name: str
    read: Callable[[bytes], Any]
    refuses: type[Exception] | tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]
    write: Callable[[Any], bytes] | None = None
    longest: int = 8_192


def outcome(decoder: Decoder, raw: bytes) -> frozenset[str]:
    """What the decoder said of the input, in words that are few: which faults at which fields.

    Raises:
        ContractBroken: it broke the contract; also any error that it let through.
    """
    began = time.process_time()
    try:
        value = decoder.read(raw)
    except decoder.refuses as refused:
        said = _faults(refused)
    else:
        said = {"passed over" if value is None else f"taken {type(value).__name__}"}
        if value is not None and decoder.write is not None:
            again = decoder.read(decoder.write(value))
            if again != value:
                raise ContractBroken(f"{decoder.name}: {value!r} came back as {again!r}")
    seconds = time.process_time() - began
    if seconds > MOST_SECONDS:
        raise ContractBroken(f"{decoder.name}: {seconds:.1f} s for {len(raw)} bytes")
    return frozenset(said)


def _faults(refused: Exception) -> set[str]:
    """A `ValidationError` says more than the error it was made into."""
    for error in (refused, refused.__cause__, refused.__context__):
        if isinstance(error, ValidationError):
            faults = error.errors(include_url=False, include_input=False, include_context=False)
            return {_place(fault["type"], fault["loc"]) for fault in faults[:20]}
    return {f"{type(refused).__name__} {getattr(refused, 'reason', '')}"}


def _place(kind: str, location: tuple[int | str, ...]) -> str:
    # Without what an input may name as it likes: places in lists, unknown fields.
    known = (
        location[:-1] if kind in ("extra_forbidden", "unexpected_keyword_argument") else location
    )
    names = [part for part in known if isinstance(part, str) and part.isidentifier()]
    return f"{kind} {'.'.join(names[:6])}"


def samples(name: str) -> tuple[bytes, ...]:
    """The sample records of a schema, as they would stand on a topic."""
    return tuple(orjson.dumps(value) for _, value in SAMPLES[name])
