"""What the client knows of one partition while it is its own."""

from __future__ import annotations

from collections import OrderedDict

from aiokafka import TopicPartition

from client.answers import Answer

REMEMBERED = 10_000
"""Answers of a partition by which a repeat is known."""


class PartitionInHand:
    """``answered``: by ``delivery_id``, the oldest first; ``None`` before it was read back.

    ``taken_to``: the offset after the last record that was looked at, ``committed``: the group's.
    """

    def __init__(self, tp: TopicPartition) -> None:
        self.tp = tp
        self.answered: OrderedDict[str, Answer] | None = None
        self.taken_to: int | None = None
        self.committed: int | None = None
        self._in_hand: dict[int, str] = {}  # delivery ids by offset, the lowest first
        self._ids: set[str] = set()

    def __len__(self) -> int:
        return len(self._in_hand)

    @property
    def done_to(self) -> int | None:
        """The first offset that is not done with."""
        return next(iter(self._in_hand), self.taken_to)

    def holds(self, delivery_id: str) -> bool:
        return delivery_id in self._ids

    def answer_to(self, delivery_id: str) -> Answer | None:
        return None if self.answered is None else self.answered.get(delivery_id)

    def take(self, offset: int, delivery_id: str) -> None:
        self._in_hand[offset] = delivery_id
        self._ids.add(delivery_id)

    def done(self, offset: int, delivery_id: str, answer: Answer) -> None:
        """The answer is on Kafka."""
        self._in_hand.pop(offset, None)
        self._ids.discard(delivery_id)
        if self.answered is not None:
            self.answered[delivery_id] = answer
            if len(self.answered) > REMEMBERED:
                self.answered.popitem(last=False)
