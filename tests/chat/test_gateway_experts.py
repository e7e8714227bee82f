"""Experts: they see who waits, take a session over, answer in it, and never leave anybody alone."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio
from example_chat.conversation import SESSION, USER, answered, event_id, said
from example_chat.stack import gateway_at
from example_chat.talk import Talk, new_user, talking, token_of
from hypothesis import given
from hypothesis import strategies as st

from chat import gateway as gateway_module
from chat.expert_absence import Absences, ExpertAbsence
from chat.live_queue import LiveQueue, Taken, session_name
from config.settings import ChatSettings, RedisSettings
from schemas.chat import ENDED, JOINED, LEFT
from servers.store_server import StoreServer

ADA, BO = "expert:Ada", "expert:Bo"


@asynccontextmanager
async def expert(url: str, name: str, **claims: Any) -> AsyncIterator[Talk]:
    token = token_of(new_user(), "expert", name=name, **claims)
    async with talking(url, token, path="/ws/expert") as talk:
        yield talk


async def waiting_learner(talk: Talk, text: str = "why?") -> dict[str, str]:
    """Has said something; the session's names, as an expert's frames take them."""
    await talk.say(text)
    message = await talk.next("message")
    return {"user_id": message["user_id"], "session_id": message["session_id"]}


async def test_an_expert_takes_over_answers_and_hands_back(gateway: str) -> None:
    async with talking(gateway, token_of(new_user())) as learner, expert(gateway, "Ada") as ada:
        session = await waiting_learner(learner)
        await ada.send({"type": "sessions"})
        listed = (await ada.next("sessions"))["sessions"]
        (line,) = [s for s in listed if s["session_id"] == session["session_id"]]
        assert (line["owner"], line["waiting"]) == ("", True)
        assert line["label"]
        await ada.send({"type": "take", **session})
        joined = await learner.next("message", feedback_flags=[JOINED])
        assert joined["message_text"] == "Ada has joined and answers from now on."
        await ada.until(lambda: ada.texts == ["why?", joined["message_text"]])
        await ada.send({"type": "answer", "id": "a1", "text": "Because.", **session})
        await ada.next("accepted", id="a1")
        answer = await learner.next("message", message_text="Because.")
        assert answer["responder"] == ADA
        assert answer["in_reply_to"] == learner.of("message")[0]["event_id"]
        await ada.send({"type": "hand_back", **session})
        left = await learner.next("message", feedback_flags=[LEFT])
        assert left["responder"] == ADA
        await ada.send({"type": "answer", "id": "a2", "text": "One more.", **session})
        assert (await ada.next("refused"))["code"] == "not_taken"
        assert learner.texts.count("Because.") == 1


async def test_watching_is_seeing_and_not_answering(gateway: str) -> None:
    async with talking(gateway, token_of(new_user())) as learner, expert(gateway, "Ada") as ada:
        session = await waiting_learner(learner)
        await ada.send({"type": "watch", **session})
        await learner.say("and this?")
        await ada.until(lambda: ada.texts == ["why?", "and this?"])
        await ada.send({"type": "watch", "after": ada.last_id - 1, **session})
        await ada.until(lambda: ada.texts == ["why?", "and this?", "and this?"])
        await ada.send({"type": "answer", "id": "a1", "text": "Because.", **session})
        refused = await ada.next("refused")
        assert (refused["code"], refused["id"]) == ("not_taken", "a1")


async def test_what_one_expert_has_no_other_can_answer(gateway: str) -> None:
    async with (
        talking(gateway, token_of(new_user())) as learner,
        expert(gateway, "Ada") as ada,
        expert(gateway, "Bo") as bo,
    ):
        session = await waiting_learner(learner)
        await ada.send({"type": "take", **session})
        await ada.next("message", feedback_flags=[JOINED])
        await bo.send({"type": "take", **session})
        assert (await bo.next("refused"))["code"] == "not_yours"
        await bo.send({"type": "answer", "id": "b1", "text": "No.", **session})
        await bo.next("refused", code="not_taken", id="b1")
        await bo.send({"type": "hand_back", **session})
        await bo.until(lambda: len(bo.of("refused", code="not_taken")) == 2)
        await learner.say("still Ada?")
        await learner.until(lambda: "still Ada?" in learner.texts)
    assert learner.of("message", responder=BO) == []


async def test_a_session_may_be_handed_back_whatever_course_the_learner_went_to(
    gateway: str,
) -> None:
    user = new_user()
    async with expert(gateway, "Ada", course_id="algebra") as ada:
        async with talking(gateway, token_of(user, course_id="algebra"), "evening") as learner:
            session = await waiting_learner(learner)
            await ada.send({"type": "take", **session})
            await learner.next("message", feedback_flags=[JOINED])
        async with talking(gateway, token_of(user, course_id="history"), "evening") as learner:
            await learner.say("and in history?")
            await learner.until(lambda: "and in history?" in learner.texts)
            await ada.send({"type": "answer", "id": "a1", "text": "Well.", **session})
            await ada.next("refused", code="not_yours", id="a1")
            await ada.send({"type": "hand_back", **session})
            await learner.next("message", feedback_flags=[LEFT])


async def test_an_experts_token_may_be_good_for_one_course(gateway: str) -> None:
    async with (
        talking(gateway, token_of(new_user(), course_id="algebra")) as learner,
        expert(gateway, "Ada", course_id="algebra") as ada,
        expert(gateway, "Bo", course_id="history") as bo,
    ):
        session = await waiting_learner(learner)
        for talk, count in ((ada, 1), (bo, 0)):
            await talk.send({"type": "sessions"})
            listed = (await talk.next("sessions"))["sessions"]
            assert len([s for s in listed if s["session_id"] == session["session_id"]]) == count
        for frame in ({"type": "watch"}, {"type": "take"}):
            await bo.send({**frame, **session})
        await bo.until(lambda: len(bo.of("refused", code="not_yours")) == 2)
        assert bo.texts == []


async def test_a_session_nobody_knows_cannot_be_taken(gateway: str) -> None:
    async with expert(gateway, "Ada") as ada:
        await ada.send({"type": "take", "user_id": new_user(), "session_id": "none"})
        assert (await ada.next("refused"))["code"] == "not_taken"


async def test_an_ended_session_cannot_be_taken(gateway: str) -> None:
    async with talking(gateway, token_of(new_user())) as learner, expert(gateway, "Ada") as ada:
        session = await waiting_learner(learner)
        await learner.send({"type": "end"})
        await learner.next("message", feedback_flags=[ENDED])
        await ada.send({"type": "take", **session})
        assert (await ada.next("refused"))["code"] == "ended"


@pytest.fixture
def soon_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """An expert is absent after a second, not after a minute."""
    monkeypatch.setattr(
        gateway_module, "ExpertAbsence", lambda queue, events: ExpertAbsence(queue, events, 1.0)
    )
    monkeypatch.setattr("chat.expert_absence._SHOWN_SECONDS", 1)


async def test_an_expert_who_is_gone_hands_back_by_whichever_gateway(
    soon_absent: None, chat_with: Any
) -> None:
    async with gateway_at(chat_with()) as there, gateway_at(chat_with()) as here:
        async with talking(there, token_of(new_user())) as learner:
            async with expert(here, "Ada") as ada:
                session = await waiting_learner(learner)
                await ada.send({"type": "take", **session})
                await learner.next("message", feedback_flags=[JOINED])
                await asyncio.sleep(2.5)
                assert learner.of("message", feedback_flags=[LEFT]) == []
            left = await learner.next("message", feedback_flags=[LEFT])
            assert left["responder"] == ADA
            await asyncio.sleep(1)
            await learner.say("hello again")
            await learner.until(lambda: "hello again" in learner.texts)
            assert len(learner.of("message", feedback_flags=[LEFT])) == 1


def taken(expert: str, name: str = "") -> Taken:
    return Taken(USER, SESSION, event_id(f"{expert}{name}"), expert)


def test_absence_counts_from_when_it_was_first_seen() -> None:
    absences = Absences(60)
    sessions = [taken(ADA), taken(BO)]
    assert absences.due(sessions, {ADA, BO}, 0) == []
    assert absences.due(sessions, {BO}, 100) == []
    assert absences.due(sessions, {BO}, 160) == []
    assert absences.due(sessions, {BO}, 161) == [taken(ADA)]
    assert absences.due(sessions, {ADA}, 170) == []
    assert absences.due(sessions, set(), 180) == []
    assert absences.due(sessions, set(), 231) == [taken(BO)]
    assert absences.due(sessions, set(), 241) == sessions


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=40))
def test_only_who_was_away_the_whole_time_is_absent(steps: list[tuple[int, bool]]) -> None:
    absences, now, away_since = Absences(60), 0.0, None
    for seconds, there in steps:
        now += seconds
        away_since = None if there else now if away_since is None else away_since
        due = absences.due([taken(ADA)], {ADA} if there else set(), now)
        assert bool(due) == (away_since is not None and now - away_since > 60)


@pytest.fixture
async def queue(redis_server: StoreServer) -> AsyncIterator[LiveQueue]:
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.flushdb()
    queue = LiveQueue(RedisSettings(url=redis_server.url), ChatSettings())
    yield queue
    await queue.close()


def joined(offset: int, who: str) -> Any:
    return answered(offset, 0, responder=who, feedback_flags=(JOINED,), in_reply_to=None)


def left(offset: int, who: str) -> Any:
    return answered(offset, 0, responder=who, feedback_flags=(LEFT,), in_reply_to=None)


async def requests(url: str) -> list[int]:
    async with redis.asyncio.Redis.from_url(url) as client:
        found = await client.xrange("chat:requests:0")
    return [int(id_.partition(b"-")[0]) for id_, _ in found]


async def test_of_two_who_take_a_session_the_first_has_it(queue: LiveQueue) -> None:
    await queue.feed(0, [said(0), joined(1, ADA), joined(2, BO)], 3, first=True)
    assert await queue.owner(USER, SESSION) == ADA
    assert await queue.taken() == [Taken(USER, SESSION, event_id(1), ADA)]
    await queue.feed(0, [left(3, BO)], 4)
    assert await queue.owner(USER, SESSION) == ADA
    await queue.feed(0, [left(4, ADA), joined(5, BO)], 6)
    assert await queue.owner(USER, SESSION) == BO
    assert await queue.taken() == [Taken(USER, SESSION, event_id(5), BO)]


async def test_what_an_expert_left_unanswered_is_asked_of_a_responder(
    queue: LiveQueue, redis_server: StoreServer
) -> None:
    await queue.feed(0, [joined(0, ADA), said(1), said(2), left(3, ADA)], 4, first=True)
    assert await requests(redis_server.url) == [3]


async def test_what_an_expert_answered_is_not_asked_again(
    queue: LiveQueue, redis_server: StoreServer
) -> None:
    reply = answered(2, 1, responder=ADA)
    await queue.feed(0, [joined(0, ADA), said(1), reply, left(3, ADA)], 4, first=True)
    assert await requests(redis_server.url) == []


async def test_what_is_answered_after_the_expert_left_is_not_asked_when_filled_again(
    queue: LiveQueue, redis_server: StoreServer
) -> None:
    entries = [joined(0, ADA), said(1), left(2, ADA), answered(3, 1)]
    ahead = frozenset({event_id(1)})
    await queue.feed(0, entries, 4, first=True, answered=ahead)
    assert await requests(redis_server.url) == []


async def test_a_session_that_goes_on_stays_the_experts(
    queue: LiveQueue, redis_server: StoreServer
) -> None:
    await queue.feed(0, [said(0), joined(1, ADA)], 2, first=True)
    owner = f"chat:owner:{session_name(USER, SESSION)}"
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.expire(owner, 5)
        await queue.feed(0, [said(2)], 3)
        assert await client.ttl(owner) > 1000
        await client.expire(owner, 5)
        await queue.keep_taken(await queue.taken())
        assert await client.ttl(owner) > 1000
    assert await requests(redis_server.url) == [0]


async def test_an_ended_session_is_nobodys(queue: LiveQueue) -> None:
    end = answered(2, 0, feedback_flags=(ENDED,), in_reply_to=None, responder="gateway")
    await queue.feed(0, [said(0), joined(1, ADA), end], 3, first=True)
    assert await queue.owner(USER, SESSION) == ""
    assert await queue.taken() == []
    assert (await queue.resume(USER, SESSION)).ended
    assert not (await queue.resume(USER, str(uuid.uuid4()))).ended


async def test_experts_are_seen_while_they_are_connected(queue: LiveQueue) -> None:
    assert await queue.connected([ADA, BO]) == set()
    await queue.keep_alive([ADA], 60)
    assert await queue.connected([ADA, BO]) == {ADA}
