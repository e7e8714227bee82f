"""Whether the changelogs are compacted, by what a client can see.

How dirty a log is, Kafka tells nobody. But a partition that is larger than two segments has one
that the cleaner has had to go through, and where it has, records are missing between the first
offsets. Only where every key is written once would nothing be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from doctor.finding import Finding, duration, listed, size

GROUP = "topics"
_SEGMENTS = 2
_UNTOUCHED = 0.45
"""Of the first offsets: each transaction takes one for its marker, so it may be only half."""


class ChangelogFacts(NamedTuple):
    """``size``: bytes on disk. ``first``: how many records stand at the first ``span`` offsets;
    the oldest of them was written ``age`` seconds ago."""

    topic: str
    partition: int
    size: int
    segment_bytes: int
    first: int = 0
    span: int = 0
    age: float = 0.0


def due(size_: int, segment_bytes: int) -> bool:
    """Whether a partition is so large that the cleaner must have been at its beginning."""
    return size_ > _SEGMENTS * segment_bytes


def judge_compaction(logs: Sequence[ChangelogFacts]) -> Iterator[Finding]:
    """``logs``: every partition of every changelog; ``first`` and ``span`` of those `due`."""
    large = [log for log in logs if due(log.size, log.segment_bytes)]
    untouched = [log for log in large if log.span and log.first >= _UNTOUCHED * log.span]
    total = size(sum(log.size for log in logs))
    if untouched:
        oldest = max(log.age for log in untouched)
        yield Finding(
            GROUP,
            "compaction",
            "warning",
            f"{len(untouched)} of {len(logs)} partitions of changelogs, {total} in all, look as if "
            f"they were never compacted: {listed(_name(log) for log in untouched)}; the oldest "
            f"record is {duration(oldest)} old",
            "search the brokers' log for LogCleaner: a cleaner thread that died says why, and "
            "comes back with the broker. Are min.cleanable.dirty.ratio or "
            "min.compaction.lag.ms set high?",
        )
    elif large:
        found = f"alive: {len(large)} large partitions have been compacted; {total} in all"
        yield Finding(GROUP, "compaction", "ok", found)
    else:
        found = f"not due yet: no partition of a changelog is over two segments; {total} in all"
        yield Finding(GROUP, "compaction", "ok", found)


def _name(log: ChangelogFacts) -> str:
    return f"{log.topic}/{log.partition}"
