"""Sessions whose expert is gone for too long are handed back, so that no learner waits for nobody.

Every gateway shows in Redis which experts are connected to it, and looks at every session that is
taken: so it does not matter which gateway an expert was at, or whether that one still runs. Several
may hand the same session back: the event has the same id.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import structlog

from chat import session_events
from chat.event_producer import EventProducer
from chat.live_queue import LiveQueue, Taken
from chat.session_events import Session
from schemas.errors import BrokerUnavailable, StoreUnavailable

log = structlog.get_logger(__name__)

ABSENT_SECONDS = 60.0
_LOOK_SECONDS = 10.0
_SHOWN_SECONDS = 30
"""How long an expert counts as connected after the last sign."""


class Absences:
    """Since when the experts of taken sessions have not been seen. Pure."""

    def __init__(self, seconds: float = ABSENT_SECONDS) -> None:
        self._seconds = seconds
        self._since: dict[str, float] = {}

    def due(self, taken: Sequence[Taken], connected: Collection[str], now: float) -> list[Taken]:
        """The sessions to hand back; ``now`` in seconds."""
        absent = [session for session in taken if session.expert not in connected]
        self._since = {
            session.joined_id: self._since.get(session.joined_id, now) for session in absent
        }
        return [s for s in absent if now - self._since[s.joined_id] > self._seconds]


class ExpertAbsence:
    """The experts who are connected here, and what is done for those who are nowhere."""

    def __init__(
        self, queue: LiveQueue, events: EventProducer, absent_seconds: float = ABSENT_SECONDS
    ) -> None:
        self._queue, self._events = queue, events
        self._here: Counter[str] = Counter()
        self._absences = Absences(absent_seconds)
        self._look_seconds = min(_LOOK_SECONDS, absent_seconds / 2)

    def came(self, expert: str) -> None:
        self._here[expert] += 1

    def left(self, expert: str) -> None:
        self._here[expert] -= 1
        if not self._here[expert]:
            del self._here[expert]

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._look()
            except (StoreUnavailable, BrokerUnavailable) as error:
                log.debug("experts' sessions are looked at later", reason=str(error))
            await asyncio.sleep(self._look_seconds)

    async def _look(self) -> None:
        await self._queue.keep_alive(self._here, _SHOWN_SECONDS)
        taken = await self._queue.taken()
        experts = sorted({session.expert for session in taken})
        connected = await self._queue.connected(experts) | set(self._here)
        await self._queue.keep_taken([s for s in taken if s.expert in connected])
        for session in self._absences.due(taken, connected, asyncio.get_running_loop().time()):
            await self._hand_back(session)

    async def _hand_back(self, taken: Taken) -> None:
        latest = await self._queue.latest(taken.user_id, taken.session_id, 1)
        course_id = latest[0].record.course_id or None if latest else None
        session = Session(taken.user_id, taken.session_id, course_id)
        now = datetime.now(UTC)
        log.info("an expert is away: a session is handed back", expert=taken.expert)
        await self._events.send(session_events.left(session, taken.expert, taken.joined_id, now))
