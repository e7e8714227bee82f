"""Many sessions at once, each session's messages one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from chat.live_queue import session_name
from chat.request_queue import Request


@dataclass
class _Lane:
    partition: int
    waiting: deque[Request] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class Lanes:
    """A lane for each session that has messages to be answered.

    Args:
        work: answers one; what it raises ends everything (`failed`).
        at_once: how many are answered at the same time.
    """

    def __init__(self, work: Callable[[Request], Awaitable[None]], at_once: int) -> None:
        self._work = work
        self._slots = asyncio.Semaphore(at_once)
        self._most = 2 * at_once
        self._lanes: dict[str, _Lane] = {}
        self._in_hand: dict[tuple[int, int], _Lane] = {}
        self.freed = asyncio.Event()
        """Set when a message was done with, or given up."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def in_hand(self) -> int:
        return len(self._in_hand)

    @property
    def room(self) -> int:
        """How many messages more it takes in hand."""
        return max(self._most - len(self._in_hand), 0)

    @property
    def partitions(self) -> set[int]:
        return {lane.partition for lane in self._lanes.values()}

    def count(self, partition: int) -> int:
        return sum(in_hand == partition for in_hand, _ in self._in_hand)

    def put(self, request: Request) -> None:
        """Takes a message in hand, behind those of its session; one in hand already is let go."""
        if (request.partition, request.id) in self._in_hand:
            return
        name = session_name(request.record.user_id, request.record.session_id)
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Lane(request.partition)
            lane.task = asyncio.create_task(self._run(name, lane))
        lane.waiting.append(request)
        self._in_hand[request.partition, request.id] = lane

    def give_up_waiting(self, partition: int | None = None) -> None:
        """Lets go of what was not begun: of one partition, or all."""
        for lane in self._of(partition):
            self._forget(lane)

    def give_up(self, partition: int | None = None) -> None:
        """Lets go of everything, and ends what was begun; it may be put in again at once."""
        for name, lane in list(self._lanes.items()):
            if partition is None or lane.partition == partition:
                self._in_hand = {key: of for key, of in self._in_hand.items() if of is not lane}
                self._forget(lane)
                self.freed.set()
                del self._lanes[name]
                if lane.task is not None:
                    lane.task.cancel()

    async def ended(self, partition: int | None = None) -> None:
        """Waits until nothing of a partition, or nothing at all, is in hand."""
        while tasks := [lane.task for lane in self._of(partition) if lane.task is not None]:
            await asyncio.wait(tasks)

    def _of(self, partition: int | None) -> list[_Lane]:
        lanes = self._lanes.values()
        return [lane for lane in lanes if partition is None or lane.partition == partition]

    def _forget(self, lane: _Lane) -> None:
        while lane.waiting:
            self._let_go(lane, lane.waiting.popleft())

    async def _run(self, name: str, lane: _Lane) -> None:
        try:
            while lane.waiting:
                async with self._slots:
                    if lane.waiting:
                        await self._one(lane, lane.waiting.popleft())
        except Exception as error:
            if not self.failed.done():
                self.failed.set_exception(error)
        finally:
            if self._lanes.get(name) is lane:
                del self._lanes[name]

    async def _one(self, lane: _Lane, request: Request) -> None:
        try:
            await self._work(request)
        finally:
            self._let_go(lane, request)

    def _let_go(self, lane: _Lane, request: Request) -> None:
        key = request.partition, request.id
        if self._in_hand.get(key) is lane:  # not given up, and taken by another lane since
            del self._in_hand[key]
        self.freed.set()
