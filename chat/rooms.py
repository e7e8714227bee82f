"""Who has which session open at this gateway, and what each is shown of it: in order, once.

A member who has just come, or reads too slowly, is not live: what comes in meanwhile only marks
that there is more to read. `chat.history` reads for them from Redis until nothing is missing; from
then on they are shown what comes. Nothing is shown that Redis has not, so there is no gap between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from pydantic import ValidationError

from agents.metrics_chat import GatewayMetrics
from chat.connection import Connection
from chat.live_queue import Entry, session_name
from schemas.chat import ENDED, ChatRecord
from schemas.chat_frames import Message, Notice, Token, gateway_frames

MAX_LIVE_BYTES = 65_536
"""Of what is passed on from Redis as it stands."""


class Member:
    """A connection's place in a session.

    ``seen``: the id of the last message there; ``course_id``: the one course of which it is shown
    messages, ``None`` for all.
    """

    __slots__ = ("_asked", "connection", "course_id", "ended", "gone", "known", "live", "missed",
                 "seen", "session_id", "user_id")  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        user_id: str,
        session_id: str,
        after: int,
        course_id: str | None = None,
    ) -> None:
        self.connection = connection
        self.user_id, self.session_id = user_id, session_id
        self.seen, self.course_id = after, course_id
        self._asked = ""
        self.live = self.missed = self.gone = False
        self.known = asyncio.Event()
        """Set once Redis was asked about the session: whether it has ``ended``, and what it has."""
        self.ended = False

    def may_see(self, record: ChatRecord) -> bool:
        """Called with each message, in order."""
        if self.course_id not in (None, record.course_id):
            return False
        if record.message_direction == "user":
            self._asked = record.event_id
        return True

    def may_see_live(self, frame: Token | Notice) -> bool:
        """Pieces of an answer do not say their course: only of one to what was seen last."""
        if self.course_id is None or isinstance(frame, Notice):
            return True
        return frame.in_reply_to == self._asked

    def shown(self, entry: Entry) -> None:
        """Called with each message once it is on its way."""


class Rooms:
    """``follow`` and ``leave`` are called with a session that the first member opened here, or
    the last has left; ``behind`` with a member who has fallen behind, once they read again."""

    behind: Callable[[Member], None]

    def __init__(
        self,
        follow: Callable[[str], None],
        leave: Callable[[str], None],
        metrics: GatewayMetrics,
    ) -> None:
        self._follow, self._leave = follow, leave
        self._metrics = metrics
        self._rooms: dict[str, list[Member]] = {}

    def join(self, member: Member) -> None:
        name = session_name(member.user_id, member.session_id)
        if name not in self._rooms:
            self._rooms[name] = []
            self._follow(name)
        self._rooms[name].append(member)

    def leave(self, member: Member) -> None:
        member.gone = True
        name = session_name(member.user_id, member.session_id)
        members = self._rooms[name]
        members.remove(member)
        if not members:
            del self._rooms[name]
            self._leave(name)

    def show(self, entries: Sequence[Entry]) -> None:
        """`chat.feed.OnEntries`: messages that Redis has by now."""
        for entry in entries:
            name = session_name(entry.record.user_id, entry.record.session_id)
            members = self._rooms.get(name)
            if members:
                frame = message_frame(entry)
                for member in members.copy():
                    self._show_live(member, entry, frame)

    def show_one(self, member: Member, entry: Entry, frame: bytes) -> None:
        """A message to one member, unless they have it or it is none of their course."""
        if entry.id > member.seen:
            member.seen = entry.id
            record = entry.record
            if record.message_direction == "system" and ENDED in record.feedback_flags:
                member.ended = True
            if member.may_see(record):
                member.connection.send(frame)
                self._metrics.message_out()
                member.shown(entry)

    def _show_live(self, member: Member, entry: Entry, frame: bytes) -> None:
        if not member.live:
            member.missed = True
        elif member.connection.room:
            self.show_one(member, entry, frame)
        else:
            member.live = False
            member.connection.when_drained(lambda: self.behind(member))

    def pass_on(self, name: str, raw: bytes) -> None:
        """What a responder shows while it writes; only frames of that session, and not to who
        reads slowly: the whole message follows."""
        members = self._rooms.get(name)
        if members and (frame := live_frame(raw, name)):
            for member in members:
                if member.may_see_live(frame):
                    member.connection.send_if_quick(raw)


def message_frame(entry: Entry) -> bytes:
    """A record as it is shown."""
    record: ChatRecord = entry.record
    return (
        Message(
            id=entry.id,
            event_id=record.event_id,
            user_id=record.user_id,
            session_id=record.session_id,
            message_direction=record.message_direction,
            message_text=record.message_text,
            responder=record.responder,
            in_reply_to=record.in_reply_to,
            feedback_flags=record.feedback_flags,
            timestamp=record.timestamp,
        )
        .model_dump_json()
        .encode()
    )


def live_frame(raw: bytes, name: str) -> Token | Notice | None:
    """A frame that a responder may show in that session; ``None`` for anything else."""
    if len(raw) > MAX_LIVE_BYTES:
        return None
    try:
        frame = gateway_frames.validate_json(raw)
    except ValidationError:
        return None
    if isinstance(frame, Token) and session_name(frame.user_id, frame.session_id) != name:
        return None
    return frame if isinstance(frame, Token | Notice) else None
