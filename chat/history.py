"""Reads for those who have just come, or come again, what they have missed.

A few readers for all connections: when thousands come at once after an outage, Redis is asked by
these few, and each connection's turn comes. While Redis is away, or still being filled again,
everybody waits; they can speak meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from chat.connection import FAILED
from chat.ending_tasks import first_of
from chat.live_queue import LiveQueue, Resumed
from chat.rooms import Member, Rooms, message_frame
from schemas.chat_frames import Notice
from schemas.errors import StoreUnavailable

log = structlog.get_logger(__name__)

_READERS = 8
_PAUSE_SECONDS = 0.3

OLDER = Notice(
    code="older_messages_elsewhere",
    text="Older messages of this session are kept, but no longer shown here.",
)


class History:
    """``has_all``: whether a Redis at these positions has everything that was shown so far;
    ``most``: how many messages of one session Redis holds."""

    def __init__(
        self,
        queue: LiveQueue,
        rooms: Rooms,
        has_all: Callable[[Mapping[int, int]], bool],
        most: int,
    ) -> None:
        self._queue, self._rooms, self._has_all, self._most = queue, rooms, has_all, most
        self._wanted: asyncio.Queue[Member] = asyncio.Queue()
        rooms.behind = self.read_for

    def read_for(self, member: Member) -> None:
        """Shows a member of a room, in good time, what is after their ``seen``."""
        self._wanted.put_nowait(member)

    async def run(self) -> None:
        """Until cancelled."""
        await first_of([asyncio.create_task(self._read()) for _ in range(_READERS)])

    async def _read(self) -> None:
        while True:
            member = await self._wanted.get()
            if member.gone:
                continue
            member.missed = False
            try:
                found = await self._queue.resume(member.user_id, member.session_id, member.seen)
            except StoreUnavailable:
                found = None
            except Exception:
                log.exception("a session in Redis cannot be read")
                member.connection.close(FAILED)
                continue
            if found is None or not self._has_all(found.positions):
                self._wanted.put_nowait(member)
                await asyncio.sleep(_PAUSE_SECONDS)
            elif not member.gone:
                self._show(member, found)

    def _show(self, member: Member, found: Resumed) -> None:
        member.ended = member.ended or found.ended
        if not member.known.is_set():
            member.known.set()
            if lacks_older(member.seen, found, self._most):
                member.connection.tell(OLDER)
        new = [entry for entry in found.entries if entry.id > member.seen]
        room = member.connection.room
        for entry in new[:room]:
            self._rooms.show_one(member, entry, message_frame(entry))
        if len(new) > room:  # the rest once they have read these
            member.connection.when_drained(lambda: self.read_for(member))
        elif member.missed:
            self.read_for(member)
        else:
            member.live = True


def lacks_older(seen: int, found: Resumed, most: int) -> bool:
    """Whether there may be messages between ``seen`` and what Redis has of the session."""
    if seen < 0:
        return len(found.entries) >= most
    return not found.entries or found.entries[0].id != seen
