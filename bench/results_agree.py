"""Refuses to report a benchmark whose contenders decided differently."""

from __future__ import annotations

from collections import Counter

from agents import topics
from faults.committed_records import committed_records


def assert_same_decisions(bootstrap: str, partitions: int, runs: int) -> None:
    """Every decision must be there once per run, byte for byte the same.

    Raises:
        SystemExit: if one is not.
    """
    counted: Counter[bytes] = Counter()
    for messages in committed_records(bootstrap, topics.DECISIONS, partitions).values():
        counted.update(message.value() for message in messages)
    different = sum(1 for count in counted.values() if count != runs)
    if different or not counted:
        raise SystemExit(
            f"{different} of {len(counted)} decisions were not made alike in all {runs} runs: "
            "the benchmark compares different work"
        )
