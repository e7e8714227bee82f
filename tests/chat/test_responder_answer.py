"""One message answered, with everything around it played: what is shown, sent, and left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaTimeoutError
from example_chat.conversation import START, answered, event_id, said

import chat.responder_answer
from chat.answer_event import answer_event
from chat.built_in import BuiltIn
from chat.event_producer import EventProducer
from chat.live_queue import Entry, LiveQueue
from chat.request_queue import Request, RequestQueue
from chat.responder import BUILT_IN, Draft, Part, Said, Start, Turn
from chat.responder_answer import SORRY, Answering
from config.chat_rules import load_chat_rules
from config.settings import ResponderSettings
from schemas.chat_frames import GatewayFrame, Token, gateway_frames
from schemas.errors import BrokerUnavailable, StoreUnavailable
from schemas.event import ChatMessage, event_adapter
from streams.chat_rules import ChatRules
from streams.derived_id import derived_id

RULES = ChatRules(load_chat_rules())
AWAY = StoreUnavailable("redis: nobody answers")


class Played:
    """Queue, Redis and Kafka. ``needless``: what is told, one after the other; the last stays.
    ``fails``: so often Redis and Kafka are away first."""

    def __init__(self) -> None:
        self.needless_: list[str | None] = [None]
        self.fails = 0
        self.log: list[str] = []
        self.sent: list[ChatMessage] = []
        self.frames: list[GatewayFrame] = []
        self.session: list[Entry] = []
        self.stuck = False

    def _maybe(self, error: Exception) -> None:
        if self.fails:
            self.fails -= 1
            raise error

    async def needless(self, record: object) -> str | None:
        self._maybe(AWAY)
        return self.needless_.pop(0) if len(self.needless_) > 1 else self.needless_[0]

    async def done(self, partition: int, id_: int) -> None:
        self._maybe(AWAY)
        self.log.append(f"done {partition}/{id_}")

    async def latest(self, user_id: str, session_id: str, most: int) -> list[Entry]:
        if self.stuck:
            await asyncio.Event().wait()
        self._maybe(AWAY)
        return self.session

    async def tell(self, user_id: str, session_id: str, frame: bytes) -> None:
        if self.stuck:
            await asyncio.Event().wait()
        self.frames.append(gateway_frames.validate_json(frame))

    async def send(self, event: ChatMessage) -> asyncio.Future[object]:
        self._maybe(BrokerUnavailable("no answer from Kafka"))
        delivery: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        if self.fails:
            self.fails -= 1
            delivery.set_exception(KafkaTimeoutError())
        else:
            self.sent.append(event)
            self.log.append("sent")
            delivery.set_result(None)
        return delivery


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_SHOW_SECONDS", "_RECENT_SECONDS", "_PAUSE_SECONDS"):
        monkeypatch.setattr(chat.responder_answer, name, 0.02)


@pytest.fixture
def played() -> Played:
    return Played()


class Says:
    """A responder of these parts; an error is raised, a number of seconds waited."""

    def __init__(self, *parts: Part | Exception | float) -> None:
        self.parts = parts
        self.turns: list[Turn] = []

    async def answer(self, turn: Turn) -> AsyncGenerator[Part, None]:
        self.turns.append(turn)
        for part in self.parts:
            if isinstance(part, Exception):
                raise part
            if isinstance(part, float):
                await asyncio.sleep(part)
            else:
                yield part


def answering(played: Played, responder: Any, seconds: float = 45) -> Answering:
    return Answering(
        ResponderSettings(answer_seconds=seconds),
        cast(RequestQueue, played),
        cast(LiveQueue, played),
        cast(EventProducer, played),
        responder,
        RULES,
    )


def request(number: int = 7, **fields: Any) -> Request:
    return Request(2, number, said(number, **fields).record)


async def test_kafka_has_the_answer_before_the_message_is_done(played: Played) -> None:
    answers = answering(played, Says(Start("llm:x"), "Be", "cause."))
    await answers.answer(request())
    assert played.log == ["sent", "done 2/7"]
    (event,) = played.sent
    assert (event.message_text, event.responder) == ("Because.", "llm:x")
    assert [f.text for f in played.frames if isinstance(f, Token)] == ["Be", "cause."]
    assert (answers.answered, answers.let_go) == (1, 0)


@pytest.mark.parametrize("reason", ["answered", "expert"])
async def test_what_wants_no_answer_gets_none(played: Played, reason: str) -> None:
    played.needless_ = [reason]
    responder = Says(Start("x"), "y")
    answers = answering(played, responder)
    await answers.answer(request())
    assert (played.log, played.frames, responder.turns) == (["done 2/7"], [], [])
    assert (answers.answered, answers.let_go) == (0, 1)


async def test_what_is_no_longer_wanted_is_not_sent_and_void(played: Played) -> None:
    played.needless_ = [None, "expert"]
    await answering(played, Says(Start("x"), "y")).answer(request())
    assert played.log == ["done 2/7"]
    last = played.frames[-1]
    assert isinstance(last, Token)
    assert (last.restart, last.text) == (True, "")


BAD: dict[str, Says] = {
    "an error": Says(ValueError("a fault of ours")),
    "an error in mid-answer": Says(Start("x"), "Loo", ValueError("a fault of ours")),
    "no words": Says(),
    "a start and no words": Says(Start("x")),
    "blanks": Says(Start("x"), " \n"),
    "nothing after the last start": Says(Start("x"), "Loo", Start("y")),
    "no end": Says(Start("x"), "Loo", 60.0),
}


@pytest.mark.parametrize("responder", BAD.values(), ids=BAD)
async def test_a_learner_is_told_when_a_responder_fails(
    played: Played, responder: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat.responder_answer, "MARGIN_SECONDS", -0.9)
    async with asyncio.timeout(5):
        await answering(played, responder, seconds=1).answer(request())
    (event,) = played.sent
    assert (event.message_text, event.responder) == (SORRY, BUILT_IN)
    text = ""
    for frame in played.frames:
        assert isinstance(frame, Token)
        text = "" if frame.restart else text
        text += frame.text
    assert text.strip() == SORRY


@pytest.mark.parametrize("fails", [1, 3, 8])
async def test_redis_and_kafka_may_be_away(played: Played, fails: int) -> None:
    played.fails = fails
    async with asyncio.timeout(5):
        await answering(played, BuiltIn()).answer(request())
    assert played.log == ["sent", "done 2/7"]


async def test_a_redis_that_hangs_holds_no_answer_up(played: Played) -> None:
    played.stuck = True
    async with asyncio.timeout(5):
        await answering(played, Says(Start("x"), *"many pieces")).answer(request())
    assert played.sent[0].message_text == "many pieces"
    assert played.frames == []


async def test_the_responder_knows_what_was_said_before(played: Played) -> None:
    played.session = [said(1, "a"), answered(2, 1, "A"), said(7), said(8, "later")]
    responder = Says(Start("x"), "y")
    await answering(played, responder).answer(request())
    assert responder.turns[0].recent == (Said("user", "a"), Said("system", "A", BUILT_IN))


async def test_and_what_itself_has_just_answered(played: Played) -> None:
    played.session = [said(7, "a"), said(8, "b")]
    responder = Says(Start("x"), "y")
    answers = answering(played, responder)
    await answers.answer(request(7))
    await answers.answer(request(8))
    assert responder.turns[1].recent == (Said("user", "a"), Said("system", "y", "x"))


async def test_a_cancelled_answer_is_not_done(played: Played) -> None:
    task = asyncio.create_task(answering(played, Says(Start("x"), "y", 60.0)).answer(request()))
    while not played.frames:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert played.log == []


def draft(*parts: Part) -> Draft:
    made = Draft(said(7).record)
    for part in parts:
        made.take(part)
    return made


def event_of(
    made: Draft, now: datetime = START + timedelta(minutes=1), **fields: Any
) -> ChatMessage:
    return answer_event(said(7, **fields).record, made, RULES, now)


def test_an_answers_event() -> None:
    record = said(7, contextual_topic_id="algebra-m1-t2").record
    event = event_of(
        draft(Start("llm:x", hint_used=True), "\nLook at the denominator, please. \n"),
        contextual_topic_id="algebra-m1-t2",
    )
    assert event == event_adapter.validate_json(event.model_dump_json(exclude_none=True))
    assert event.event_id == derived_id(event_id(7), "answer")
    assert (event.user_id, event.session_id, event.course_id) == (
        record.user_id, record.session_id, "algebra",
    )  # fmt: skip
    assert (event.message_direction, event.message_text) == (
        "system", "Look at the denominator, please.",
    )  # fmt: skip
    assert (event.responder, event.in_reply_to, event.hint_used) == ("llm:x", event_id(7), True)
    assert event.contextual_topic_id == "algebra-m1-t2"
    assert (event.related_skill, event.related_objective) == (
        "algebra-procedure", "algebra-m1-objective",
    )  # fmt: skip
    assert "denominator" in event.searchable_tags
    assert (event.feedback_flags, event.confidence) == ((), None)
    assert event.traceparent == record.traceparent
    assert event.occurred_at == START + timedelta(minutes=1)


def test_an_answer_is_never_earlier_than_its_question() -> None:
    made = draft(Start("x"), "y")
    assert event_of(made, START).occurred_at == START + timedelta(seconds=7)


def test_a_session_of_no_course() -> None:
    assert event_of(draft(Start("x"), "y"), course_id="").course_id is None


@pytest.mark.parametrize("text", ["x" * 20_000, "\x00\u202e<b>", "👩🏽‍🏫" * 5_000])
def test_any_text_makes_an_event(text: str) -> None:
    event = event_of(draft(Start("x"), "a", text), datetime.now(UTC))
    raw = event.model_dump_json(exclude_none=True)
    assert event_adapter.validate_json(raw) == event
    assert len(raw.encode()) < 65_536
