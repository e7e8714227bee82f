"""A learner's connection: what they say goes to Kafka, and comes back when the worker has it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from chat import session_events
from chat.acceptance import Acceptance
from chat.connection import Connection
from chat.event_producer import SessionEvent
from chat.live_queue import Entry
from chat.rooms import Member
from chat.services import Services
from chat.session_events import Session
from schemas.chat_frames import End, Ping, Refused, Say

_KNOWN_SECONDS = 1.0
"""How long a message waits for Redis to say whether the session has ended."""
_REMEMBERED = 64
"""Messages of theirs that are known to stand in the session; sent again, they are not sent on."""


class LearnerSession(Member):
    """One session of one learner on one connection."""

    __slots__ = ("_acceptance", "_begun", "_said", "_services", "_session")

    def __init__(
        self, services: Services, connection: Connection, session: Session, after: int
    ) -> None:
        super().__init__(connection, session.user_id, session.session_id, after)
        self._services, self._session = services, session
        self._acceptance = Acceptance(connection, services.events, services.metrics)
        self._begun = after >= 0
        self._said: deque[str] = deque(maxlen=_REMEMBERED)

    async def take(self, frame: Say | End | Ping) -> None:
        """A frame that was checked, and does not come too fast."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.known.wait(), _KNOWN_SECONDS)
        if self.ended:
            text = "this session has ended: begin a new one"
            self._services.metrics.refused("ended")
            self.connection.tell(Refused(code="ended", text=text, id=getattr(frame, "id", None)))
        elif isinstance(frame, Say):
            await self._say(frame)
        elif isinstance(frame, End):
            await self._send(session_events.ended(self._session, _now()), self._end)

    def shown(self, entry: Entry) -> None:
        self._begun = True
        if entry.record.message_direction == "user":
            self._said.append(entry.record.event_id)
            self._services.echoes.came(self, entry.record.event_id)

    async def _say(self, frame: Say) -> None:
        self._services.metrics.message_in()
        message = session_events.said(self._session, frame, self._services.rules, _now())
        if message.event_id in self._said:
            self._acceptance.accept(frame.id, message.event_id)
        else:
            since = asyncio.get_running_loop().time()
            await self._send([message], partial(self._kept, message.event_id, since), frame.id)

    def _end(self) -> None:
        self.ended = True

    def _kept(self, event_id: str, since: float) -> None:
        """Kafka has it. It may have come back before we were told that."""
        if not self.gone and event_id not in self._said:
            self._services.echoes.kept(self, event_id, since)

    async def _send(
        self,
        events: Sequence[SessionEvent],
        accepted: Callable[[], None],
        client_id: str | None = None,
    ) -> None:
        """With the first of a session goes that it began; told twice, that changes nothing."""
        if not self._begun:
            events = [session_events.started(self._session, events[0].occurred_at), *events]
        sent = await self._acceptance.send(events, client_id, accepted)
        self._begun = self._begun or sent


def _now() -> datetime:
    return datetime.now(UTC)
