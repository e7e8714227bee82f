"""What the world sends: learners of a simulated class and of OULAD, and everything that producers,
clocks and networks do to it. The same for the same seed.

- 10% repeats, near and far, and whole batches sent again; events held back by minutes and by days;
- 5% bad records of every kind: malformed, under a wrong key, under none, without a value;
- clocks ahead and behind, one for each source and learner;
- with every third seed, one learner who sends half of all events.
"""

from __future__ import annotations

import functools
import itertools
import random
import uuid
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import orjson

from converters.oulad import oulad_events
from simulation.classroom import simulate
from simulation.disturbance import Ledger, disturb, routing_key
from simulation.malformed import malformed_records

OULAD = Path(__file__).parents[3] / "shared" / "data" / "oulad"
REPEATS, LATE, MALFORMED, MISLAID = 0.10, 0.05, 0.045, 0.005
_LEARNERS, _DAYS = 60, 366
_OULAD_SHARES = 12
"""One of so many of OULAD's learners is taken, with all that they ever did."""
_BATCH, _BATCHES_AGAIN = 100, 1 / 5_000
_BUSY = str(uuid.uuid5(uuid.NAMESPACE_URL, "faults/busy"))
_SKEWS = (
    *((timedelta(),) * 13),
    timedelta(minutes=-4),
    timedelta(minutes=4),
    timedelta(hours=-7),
    timedelta(hours=7),
    timedelta(days=-3),
    timedelta(days=3),
    timedelta(days=-60),  # too late, if the learner was seen by another clock
)


class Sent(NamedTuple):
    """A record for ``learner.events``; ``bad``: it must end in ``learner.dlq``."""

    key: bytes | None
    value: bytes | None
    bad: bool = False


def world_input(seed: int, oulad: Path = OULAD) -> Iterator[Sent]:
    """One class after another, without an end. Without OULAD where it is not there.

    Each of OULAD's learners comes once: with the clocks of another class the same ids would be
    those of other events.
    """
    for at, number in enumerate(itertools.count(seed * 1_000)):
        rng = random.Random(f"world/{number}")
        sources: list[Iterable[bytes]] = [simulate(_LEARNERS, _DAYS, number)]
        if at < _OULAD_SHARES and oulad.is_dir():
            sources.append(_oulad_by_share(oulad)[number % _OULAD_SHARES])
        lines = _mixed([_disturbed(events, number) for events in sources], rng)
        if seed % 3 == 2:
            lines = map(_half_from_one_learner, lines)
        yield from _with_bad_ones(_batches_again(lines, rng), rng)


@functools.cache
def _oulad_by_share(oulad: Path) -> tuple[tuple[bytes, ...], ...]:
    shares: list[list[bytes]] = [[] for _ in range(_OULAD_SHARES)]
    for line in oulad_events(oulad):
        shares[zlib.crc32(routing_key(line)) % _OULAD_SHARES].append(line)
    return tuple(map(tuple, shares))


def _disturbed(events: Iterable[bytes], seed: int) -> Iterator[bytes]:
    skewed = (_by_its_clock(line, seed) for line in events)
    return disturb(skewed, seed, Ledger(), repeats=REPEATS, malformed=0, late=LATE)


def _by_its_clock(line: bytes, seed: int) -> bytes:
    """Answers are told by another machine than everything else."""
    event = orjson.loads(line)
    clock = f"{seed}/{event['user_id']}/{event.get('source')}/{event['type'] == 'quiz.submitted'}"
    skew = _SKEWS[zlib.crc32(clock.encode()) % len(_SKEWS)]
    if not skew:
        return line
    at = datetime.fromisoformat(event["occurred_at"]) + skew
    return orjson.dumps(event | {"occurred_at": at.isoformat().replace("+00:00", "Z")})


def _mixed(streams: list[Iterator[bytes]], rng: random.Random) -> Iterator[bytes]:
    """Each in its own order, one as likely as the other; until one ends."""
    while (line := next(rng.choice(streams), None)) is not None:
        yield line


def _half_from_one_learner(line: bytes) -> bytes:
    """As if half of the learners were one."""
    key = routing_key(line)
    return line.replace(key, _BUSY.encode()) if zlib.crc32(key) % 2 else line


def _batches_again(lines: Iterable[bytes], rng: random.Random) -> Iterator[bytes]:
    """A producer's batch, sent again as a whole some thousand events later."""
    kept: list[bytes] = []
    for line in lines:
        yield line
        if len(kept) < _BATCH:
            kept.append(line)
        elif rng.random() < _BATCHES_AGAIN:
            yield from kept
            kept.clear()


def _with_bad_ones(lines: Iterable[bytes], rng: random.Random) -> Iterator[Sent]:
    """Malformed ones beside the events; mislaid ones in the place of one."""
    broken = malformed_records(rng)
    for line in lines:
        key = routing_key(line)
        if rng.random() < MALFORMED:
            bad = broken(line)
            yield Sent(routing_key(bad), bad, bad=True)
        if rng.random() < MISLAID:
            wrong_key = Sent(str(uuid.UUID(int=rng.getrandbits(128))).encode(), line, bad=True)
            yield rng.choice((wrong_key, Sent(None, line, bad=True), Sent(key, None, bad=True)))
        else:
            yield Sent(key, line)
