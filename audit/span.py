"""The range of an audit, in offsets: what must be in the stores, and what only may."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from aiokafka import TopicPartition

from audit.kafka_log import Offsets

ALWAYS = -1
"""In place of an offset: of what no record of a topic has caused."""


class Place(Enum):
    """Where the cause of a record stands: before the range, in it (`ALWAYS`, too), after it."""

    BEFORE = auto()
    WITHIN = auto()
    AFTER = auto()


class Span(NamedTuple):
    """From ``since``, the beginning where a partition has none, to before ``until``."""

    since: Offsets
    until: Offsets

    def place(self, topic: str, partition: int, offset: int) -> Place:
        if offset == ALWAYS:
            return Place.WITHIN
        at = TopicPartition(topic, partition)
        if offset >= self.until[at]:
            return Place.AFTER
        return Place.BEFORE if offset < self.since.get(at, 0) else Place.WITHIN

    def and_also(self, other: Span) -> Span:
        """Of other topics."""
        return Span({**self.since, **other.since}, {**self.until, **other.until})
