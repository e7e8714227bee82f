"""How much one connection may send: a token bucket, pure."""

from __future__ import annotations


class TokenBucket:
    """Holds at most ``burst`` tokens, full at first; ``rate`` a second come back.

    ``now`` is seconds of a clock that never goes back.
    """

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._at = burst, now

    def take(self, now: float) -> float:
        """Takes a token; if there is none, the seconds until there is one, and takes nothing."""
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1:
            return (1 - self._level) / self._rate
        self._level -= 1
        return 0.0
