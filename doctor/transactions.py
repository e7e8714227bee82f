"""Transactions that stay open: no ``read_committed`` reader gets past them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from doctor.finding import Finding, duration, listed

GROUP = "kafka"
LONGEST_SECONDS = 120.0
"""Ours end after 60 s at the latest, by Kafka's own hand."""


class OpenTransaction(NamedTuple):
    """Of a partition whose last stable offset is not its end: how many offsets wait behind it, and
    how many seconds ago the first was written; ``None`` if nobody can tell."""

    topic: str
    partition: int
    offset: int
    behind: int
    seconds: float | None


def judge_transactions(
    partitions: int, open_: Sequence[OpenTransaction], bootstrap: str
) -> Iterator[Finding]:
    """``partitions``: how many were looked at."""
    old = [t for t in open_ if t.seconds is None or t.seconds > LONGEST_SECONDS]
    if old:
        places = listed(
            f"{t.topic}/{t.partition} at offset {t.offset} ({t.behind} records wait, "
            f"{'since nobody knows when' if t.seconds is None else 'for ' + duration(t.seconds)})"
            for t in old
        )
        yield Finding(
            GROUP,
            "transactions",
            "wrong",
            f"{len(old)} stay open: {places}",
            f"kafka-transactions.sh --bootstrap-server {bootstrap} find-hanging --broker-id …, "
            "then abort as it says; a worker that runs ends its own at its next start",
        )
    else:
        longest = max((t.seconds or 0 for t in open_), default=0)
        since = f"; {len(open_)} under way, {duration(longest)} old at most" if open_ else ""
        found = f"none hangs in {partitions} partitions{since}"
        yield Finding(GROUP, "transactions", "ok", found)
