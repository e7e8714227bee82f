"""Table ``pending`` of one partition in memory: the deliveries nobody has answered for, by key and
by when they are due."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from datetime import datetime

from schemas.delivery import PendingDelivery, ReadPositions
from schemas.fields import TreeId

_FEW = 1_000


def pending_key(user_id: str, tree_id: TreeId) -> str:
    """The key of a learner's pending delivery of one tree."""
    return f"{user_id}|{tree_id}"


class PendingDeliveries:
    """What the changelog holds. ``positions``: where to go on reading."""

    def __init__(self) -> None:
        self.positions = ReadPositions(0, 0)
        self._rows: dict[str, PendingDelivery] = {}
        # A heap. An entry whose row was answered or sent again since is stale, and passed over.
        self._timers: list[tuple[datetime, str]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: str) -> PendingDelivery | None:
        return self._rows.get(key)

    @property
    def next_due_at(self) -> datetime | None:
        """When the first is due."""
        return self._timers[0][0] if self._timers else None

    def due(self, until: datetime, most: int) -> list[str]:
        """Keys of what is due by then, the first due first, ``most`` of them at most."""
        timers = self._timers
        found: list[tuple[datetime, str]] = []
        # The heap is a tree in which no child is due before its parent: from the top down, as far
        # as they are due.
        frontier = [(timers[0], 0)] if timers else []
        while frontier and len(found) < most:
            timer, index = heapq.heappop(frontier)
            if timer[0] > until:
                break
            if not self._stale(timer) and timer not in found[-1:]:
                found.append(timer)
            for child in (2 * index + 1, 2 * index + 2):
                if child < len(timers):
                    heapq.heappush(frontier, (timers[child], child))
        return [key for _, key in found]

    def apply(self, changed: Mapping[str, PendingDelivery | None]) -> None:
        """Puts rows in; ``None`` deletes one."""
        for key, row in changed.items():
            if row is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = row
                heapq.heappush(self._timers, (row.due_at, key))
        if len(self._timers) > 2 * len(self._rows) + _FEW:
            self._timers = [(row.due_at, key) for key, row in self._rows.items()]
            heapq.heapify(self._timers)
        while self._timers and self._stale(self._timers[0]):
            heapq.heappop(self._timers)

    def _stale(self, timer: tuple[datetime, str]) -> bool:
        row = self._rows.get(timer[1])
        return row is None or row.due_at != timer[0]
