"""What producers and networks do to events: repeats, late ones, broken ones. Counted as it goes."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush

import orjson

from simulation.malformed import malformed_records

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
NEAR = (0, 5 * _MINUTE)
FAR = (2 * _HOUR, 10 * _DAY)
LATE = (2 * _MINUTE, 12 * _DAY)
"""Seconds of event time. All together well within the 45 days after which an event is too late."""

NEAR_REPEATS = 0.7
"""Share of repeats that follow at once; the others come after hours or days."""

_USER_ID = b'"user_id":"'
_EVENT_ID = b'"event_id":"'


@dataclass
class Ledger:
    """Records that `disturb` added (``repeats``, ``malformed``) and originals it held ``late``."""

    repeats: int = 0
    malformed: int = 0
    late: int = 0


def disturb(  # noqa: PLR0913, PLR0917
    events: Iterable[bytes],
    seed: int,
    ledger: Ledger,
    repeats: float = 0.03,
    malformed: float = 0.01,
    late: float = 0.02,
) -> Iterator[bytes]:
    """The events, each once, with repeats and malformed records among them and some held back.

    ``repeats``, ``malformed``, ``late``: chance for each event, 0–1. ``events`` are valid and in
    time order; only what is held back is kept in memory. Malformed records take the place of no
    event, and every kind comes in turn. The ledger is complete when the iterator is exhausted.
    """
    rng = random.Random(f"disturbance/{seed}")
    broken = malformed_records(rng)
    held: list[tuple[float, int, bytes]] = []
    order = 0
    for line in events:
        now = _seconds(line)
        while held and held[0][0] <= now:
            yield heappop(held)[2]
        if rng.random() < late:
            ledger.late += 1
            order += 1
            heappush(held, (now + rng.uniform(*LATE), order, line))
        else:
            yield line
        if rng.random() < repeats:
            ledger.repeats += 1
            order += 1
            wait = rng.uniform(*(NEAR if rng.random() < NEAR_REPEATS else FAR))
            heappush(held, (now + wait, order, line))
        if rng.random() < malformed:
            ledger.malformed += 1
            yield broken(line)
    while held:
        yield heappop(held)[2]


def routing_key(line: bytes) -> bytes:
    """The record's key, its ``user_id``; empty where a record has none that is a string.

    Looks for the field as `orjson` writes it, without parsing: a broken record has a key too.
    """
    return _text_after(line, _USER_ID)


def event_id_of(line: bytes) -> str:
    """The ``event_id``, found in the same way; empty where there is none."""
    return _text_after(line, _EVENT_ID).decode("latin-1")


def _text_after(line: bytes, field: bytes) -> bytes:
    at = line.find(field)
    if at == -1:
        return b""
    at += len(field)
    end = line.find(b'"', at)
    return line[at:end] if end != -1 else b""


def _seconds(line: bytes) -> float:
    return datetime.fromisoformat(orjson.loads(line)["occurred_at"]).timestamp()
