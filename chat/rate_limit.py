"""How often somebody may do something: token buckets, pure."""

from __future__ import annotations

from collections import OrderedDict


class Buckets:
    """A token bucket for each name, of which the least recently used are forgotten.

    Args:
        rate: tokens a second that come back, more than 0.
        burst: tokens in a full bucket.
    """

    def __init__(self, rate: float, burst: float, most: int = 10_000) -> None:
        self._rate, self._burst, self._most = rate, burst, most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, name: str, now: float) -> float:
        """Seconds until there is a token, 0 if there is one; takes none."""
        return max(0.0, (1 - self._level(name, now)) / self._rate)

    def take(self, name: str, now: float) -> float:
        """As `wait`, and takes the token if there is one. ``now``: seconds, of one clock."""
        level = self._level(name, now)
        seconds = max(0.0, (1 - level) / self._rate)
        self._buckets[name] = (level if seconds else level - 1, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return seconds

    def _level(self, name: str, now: float) -> float:
        level, at = self._buckets.get(name, (self._burst, now))
        return min(self._burst, level + (now - at) * self._rate)
