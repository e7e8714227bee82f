"""What a learner remembers of each topic: half-life regression (Settles & Meeder 2016).

Recall of a topic is strength · 2^(−Δ/h): Δ days since it was last met, h its half-life, which
grows each time the topic is met again.
"""

from __future__ import annotations

_DAY = 86_400
GROWTH = 1.5
LONGEST = 90.0
"""Days; nothing is kept better than for a term."""


class Memory:
    """All topics of one learner. Times are seconds from any common zero."""

    __slots__ = ("_first", "_topics")

    def __init__(self, first_half_life: float) -> None:
        self._first = first_half_life
        self._topics: dict[str, tuple[float, float, int]] = {}

    def recall(self, topic_id: str, at: int) -> float:
        """Share of the topic that is remembered, 0–1; 0 if it was never met."""
        known = self._topics.get(topic_id)
        if known is None:
            return 0.0
        strength, half_life, met = known
        return float(strength * 0.5 ** ((at - met) / _DAY / half_life))

    def meet(self, topic_id: str, at: int, share: float) -> None:
        """The topic is met again: ``share`` (0–1) of what is missing is learned."""
        left = self.recall(topic_id, at)
        known = self._topics.get(topic_id)
        half_life = self._first if known is None else min(LONGEST, known[1] * GROWTH)
        self._topics[topic_id] = (left + share * (1 - left), half_life, at)
