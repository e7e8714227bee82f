"""An expert's connection: sees the open sessions, watches any, takes over, answers, hands back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from chat import session_events
from chat.acceptance import Acceptance
from chat.connection import Connection
from chat.live_queue import Entry, session_name
from chat.rooms import Member
from chat.services import Services
from chat.session_events import EXPERT, Session, name_of
from chat.tokens import ChatToken
from schemas.chat import ENDED
from schemas.chat_frames import (
    Answer,
    HandBack,
    ListSessions,
    OpenSession,
    Ping,
    Refused,
    Sessions,
    Take,
    Watch,
)
from schemas.errors import StoreUnavailable

MOST_LISTED = 200
MOST_WATCHED = 100
_HIGHEST_ID = 2**63 - 1
_LOOKED_THROUGH = 100
"""Messages in which the learner's last one is looked for."""

_OfSession = Watch | Take | HandBack | Answer


class ExpertDesk:
    """What one expert does on one connection.

    Experts are told apart by name: it owns what they have taken, on every connection of theirs.
    """

    def __init__(self, services: Services, connection: Connection, token: ChatToken) -> None:
        self.expert = f"{EXPERT}{token.name or token.user_id}"
        self._services, self._connection = services, connection
        self._course_id = token.course_id
        self._acceptance = Acceptance(connection, services.events, services.metrics)
        self._watched: dict[str, Member] = {}

    async def take(self, frame: _OfSession | ListSessions | Ping) -> None:
        """A frame that was checked, and does not come too fast."""
        try:
            if isinstance(frame, ListSessions):
                await self._list()
            elif not isinstance(frame, Ping):
                await self._in_session(frame)
        except StoreUnavailable:
            self._refuse("not_accepted", "sessions cannot be looked up now: try again", frame)

    def leave(self) -> None:
        """The connection has ended."""
        for member in self._watched.values():
            self._services.rooms.leave(member)
        self._watched.clear()

    async def _in_session(self, frame: _OfSession) -> None:
        latest = await self._services.queue.latest(frame.user_id, frame.session_id, _LOOKED_THROUGH)
        if not latest:
            self._refuse("not_taken", "there is no such session, or nobody spoke for long", frame)
            return
        course_id = latest[-1].record.course_id
        # Who has it may give it back, whatever course the learner has gone to since.
        if self._course_id not in (None, course_id) and not isinstance(frame, HandBack):
            self._refuse("not_yours", f"your token is for the course {self._course_id}", frame)
            return
        if isinstance(frame, Watch):
            self._watch(frame.user_id, frame.session_id, frame.after, frame)
            return
        if any(_is_end(entry) for entry in latest):
            self._refuse("ended", "the learner has ended this session", frame)
            return
        session = Session(frame.user_id, frame.session_id, course_id or None)
        owner = await self._services.queue.owner(frame.user_id, frame.session_id)
        if isinstance(frame, Take):
            await self._take_over(frame, session, owner, latest[-1].id)
        elif owner != self.expert:
            self._refuse("not_taken", f"take the session first{_had_by(owner)}", frame)
        elif isinstance(frame, Answer):
            await self._answer(frame, session, latest)
        else:
            await self._hand_back(session)

    async def _take_over(self, frame: Take, session: Session, owner: str, last_id: int) -> None:
        if owner not in ("", self.expert):
            self._refuse("not_yours", f"somebody answers already{_had_by(owner)}", frame)
            return
        name = session_name(frame.user_id, frame.session_id)
        if name not in self._watched:
            self._watch(frame.user_id, frame.session_id, -1, frame)
        if not owner:
            event = session_events.joined(session, self.expert, last_id, _now())
            await self._acceptance.send([event])

    async def _answer(self, frame: Answer, session: Session, latest: list[Entry]) -> None:
        self._services.metrics.message_in()
        said = [e.record.event_id for e in latest if e.record.message_direction == "user"]
        event = session_events.answered(
            session, frame, self.expert, said[-1] if said else None, self._services.rules, _now()
        )
        await self._acceptance.send([event], frame.id)

    async def _hand_back(self, session: Session) -> None:
        for taken in await self._services.queue.taken():
            here = (taken.user_id, taken.session_id) == (session.user_id, session.session_id)
            if here and taken.expert == self.expert:
                event = session_events.left(session, self.expert, taken.joined_id, _now())
                await self._acceptance.send([event])

    def _watch(self, user_id: str, session_id: str, after: int, frame: _OfSession) -> None:
        name = session_name(user_id, session_id)
        for other, member in list(self._watched.items()):
            if other == name or member.ended:
                self._services.rooms.leave(self._watched.pop(other))
        if len(self._watched) >= MOST_WATCHED:
            text = f"at most {MOST_WATCHED} sessions are watched at once"
            self._refuse("too_large", text, frame)
            return
        after = min(after, _HIGHEST_ID)
        member = Member(self._connection, user_id, session_id, after, self._course_id)
        self._watched[name] = member
        self._services.rooms.join(member)
        self._services.history.read_for(member)

    async def _list(self) -> None:
        found = await self._services.queue.open_sessions(MOST_LISTED, self._course_id)
        frame = Sessions(
            sessions=tuple(
                OpenSession(
                    user_id=entry.record.user_id,
                    session_id=entry.record.session_id,
                    last_message_at=entry.record.timestamp,
                    label=entry.record.labels.get("primary_classification", ""),
                    owner=owner,
                    waiting=entry.record.message_direction == "user",
                )
                for entry, owner in found
            )
        )
        self._connection.tell(frame)

    def _refuse(
        self,
        code: Literal["not_yours", "not_taken", "not_accepted", "ended", "too_large"],
        text: str,
        frame: object,
    ) -> None:
        self._services.metrics.refused(code)
        self._connection.tell(Refused(code=code, text=text, id=getattr(frame, "id", None)))


def _is_end(entry: Entry) -> bool:
    record = entry.record
    return record.message_direction == "system" and ENDED in record.feedback_flags


def _had_by(owner: str) -> str:
    return f": {name_of(owner)} has it" if owner else ""


def _now() -> datetime:
    return datetime.now(UTC)
