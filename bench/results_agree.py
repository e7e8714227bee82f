"""Refuses to report a benchmark whose contenders decided differently."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from faults.committed_records import committed
from schemas.topics import DECISIONS


def assert_same_decisions(bootstrap: str, partitions: int, runs: int) -> str:
    """Every decision must be on the topic once per run, byte for byte the same.

    Returns:
        The digest of one run's decisions.

    Raises:
        SystemExit: if one is not.
    """
    topic = committed(bootstrap, DECISIONS, range(partitions))
    return digest_of_runs((mark(message.value() or b"") for message in topic), runs)


def digest_of_runs(marks: Iterable[bytes], runs: int) -> str:
    """That of one run, from the marks of the decisions of all.

    Raises:
        SystemExit: one is not there once per run.
    """
    counted = Counter(marks)
    different = sum(1 for count in counted.values() if count != runs)
    if different or not counted:
        raise SystemExit(
            f"{different} of {len(counted)} decisions were not made alike in all {runs} runs: "
            "the benchmark compares different work"
        )
    return digest(counted)


def assert_same_digest(decided: str, by_the_step: Iterable[str]) -> None:
    """Raises: SystemExit: the step alone decided otherwise than the contenders on Kafka."""
    if any(found != decided for found in by_the_step):
        raise SystemExit("the step alone made other decisions: the benchmark compares other work")


def mark(decision: bytes) -> bytes:
    """Stands for a decision's bytes, of which a contest has gigabytes."""
    return hashlib.sha256(decision).digest()


def digest(marks: Iterable[bytes]) -> str:
    """Of all decisions of one run, in whatever order they were made."""
    return hashlib.sha256(b"".join(sorted(marks))).hexdigest()
