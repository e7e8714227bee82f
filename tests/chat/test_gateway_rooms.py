"""What members are shown, whatever comes while they catch up: each message once, in order."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast
from unittest import mock

from example_chat.conversation import SESSION, USER, answered, event_id, said
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.metrics_chat import GatewayMetrics
from chat.connection import Connection
from chat.history import History, lacks_older
from chat.live_queue import Entry, LiveQueue, Resumed, session_name
from chat.rooms import Member, Rooms, message_frame
from schemas.chat import ENDED
from schemas.chat_frames import Token
from schemas.errors import StoreUnavailable


class FakeConnection:
    """Takes ``room`` messages, until it is drained."""

    def __init__(self, most: int) -> None:
        self.most = self.room = most
        self.ids: list[int] = []
        self.notices: list[str] = []
        self.waiting: list[Any] = []

    def send(self, frame: bytes) -> None:
        self.room -= 1
        self.ids.append(json.loads(frame)["id"])

    def tell(self, frame: Any) -> None:
        self.notices.append(frame.code)

    def send_if_quick(self, frame: bytes) -> None:
        self.ids.append(-1)

    def when_drained(self, call: Any) -> None:
        self.waiting.append(call)

    def drain(self) -> None:
        self.room = self.most
        calls, self.waiting = self.waiting, []
        for call in calls:
            call()


class FakeQueue:
    """Redis: holds what was fed, and may be away."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.away = False

    async def resume(self, user_id: str, session_id: str, after: int) -> Resumed:
        found = [entry for entry in self.entries if entry.id >= after]
        positions = {0: self.entries[-1].id + 1 if self.entries else 0}
        await asyncio.sleep(0)  # something may happen between reading and answering
        if self.away:
            raise StoreUnavailable("away")
        return Resumed(found, False, positions)


STEPS = st.sampled_from(["speak", "join", "drain", "turn", "turn", "away", "back"])


@given(st.lists(STEPS, max_size=60), st.integers(0, 3))
@settings(deadline=None)
def test_each_message_once_and_in_order(steps: list[str], most: int) -> None:
    with mock.patch("chat.history._PAUSE_SECONDS", 0):
        asyncio.run(play(steps, most + 1))


async def play(steps: list[str], most: int) -> None:
    queue = FakeQueue()
    rooms = Rooms(lambda _: None, lambda _: None, GatewayMetrics())
    history = History(cast(LiveQueue, queue), rooms, lambda _: True, 500)
    reading = asyncio.create_task(history.run())
    members: list[tuple[int, FakeConnection]] = []
    for step in steps:
        if step == "speak":
            entry = said(len(queue.entries))
            queue.entries.append(entry)
            rooms.show([entry])
        elif step == "join":
            after = len(queue.entries) // 2 - 1
            connection = FakeConnection(most)
            member = Member(cast(Connection, connection), USER, SESSION, after)
            rooms.join(member)
            history.read_for(member)
            members.append((after, connection))
        elif step == "drain":
            for _, connection in members:
                connection.drain()
        elif step == "turn":
            await asyncio.sleep(0)
        else:
            queue.away = step == "away"
    queue.away = False
    wanted = [list(range(after + 1, len(queue.entries))) for after, _ in members]
    async with asyncio.timeout(10):
        while [connection.ids for _, connection in members] != wanted:
            for (_, connection), ids in zip(members, wanted, strict=True):
                assert connection.ids == ids[: len(connection.ids)]
                connection.drain()
            await asyncio.sleep(0)
    reading.cancel()


def test_other_sessions_are_not_shown_and_an_empty_room_is_left() -> None:
    followed: list[str] = []
    left: list[str] = []
    rooms = Rooms(followed.append, left.append, GatewayMetrics())
    one, two = (FakeConnection(9) for _ in range(2))
    here = Member(cast(Connection, one), USER, SESSION, -1)
    there = Member(cast(Connection, two), USER, "other", -1)
    for member in (here, there):
        member.live = True
        rooms.join(member)
    again = Member(cast(Connection, one), USER, SESSION, -1)
    rooms.join(again)
    rooms.show([said(0), said(1, session_id="other"), said(2, user_id="x"), said(3)])
    assert one.ids == [0, 3]
    assert two.ids == [1]
    assert followed == [f"{USER}/{SESSION}", f"{USER}/other"]
    rooms.leave(again)
    assert left == []
    rooms.leave(here)
    assert left == [f"{USER}/{SESSION}"]
    rooms.show([said(4)])
    assert one.ids == [0, 3]


def test_what_is_shown_is_what_was_recorded() -> None:
    frame = json.loads(message_frame(said(7, "<b>why?</b>")))
    assert frame["id"] == 7
    assert frame["message_text"] == "<b>why?</b>"
    assert frame["in_reply_to"] is None
    assert "prompt" not in frame
    assert "labels" not in frame


def test_whether_older_messages_are_missing() -> None:
    def found(*ids: int) -> Resumed:
        return Resumed([said(id_) for id_ in ids], False, {})

    assert not lacks_older(-1, found(), 500)
    assert not lacks_older(-1, found(0, 1), 500)
    assert lacks_older(-1, found(5, 6), 2)
    assert not lacks_older(4, found(4, 7), 2)
    assert lacks_older(4, found(7), 500)
    assert lacks_older(4, found(), 500)


def test_of_other_courses_nothing_is_shown() -> None:
    connection = FakeConnection(10)
    rooms = Rooms(lambda _: None, lambda _: None, GatewayMetrics())
    member = Member(cast(Connection, connection), USER, SESSION, -1, "algebra")
    member.live = True
    rooms.join(member)

    def piece(question: int) -> None:
        told = Token(
            user_id=USER, session_id=SESSION, in_reply_to=event_id(question), position=0, text="a"
        )
        rooms.pass_on(session_name(USER, SESSION), told.model_dump_json().encode())

    rooms.show([said(0), said(1, course_id="history")])
    piece(1)
    assert connection.ids == [0]
    assert member.seen == 1
    piece(0)
    assert connection.ids == [0, -1]
    end = {"feedback_flags": (ENDED,), "in_reply_to": None, "course_id": "history"}
    rooms.show([answered(2, 1, **end)])
    assert member.ended
    assert connection.ids == [0, -1]
