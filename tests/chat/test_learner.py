"""A learner's connection while Kafka takes its time: what is promised, and what is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from example_chat.conversation import SESSION, USER

from agents.metrics_chat import GatewayMetrics
from chat.echoes import Echoes
from chat.learner import LearnerSession
from chat.services import Services
from chat.session_events import Session
from config.chat_rules import load_chat_rules
from config.settings import ChatSettings
from schemas.chat_frames import End, Say
from streams.chat_rules import ChatRules


class SlowEvents:
    """Kafka has what was handed over once the test says so."""

    def __init__(self) -> None:
        self.deliveries: list[asyncio.Future[object]] = []

    async def send(self, event: Any) -> asyncio.Future[object]:
        self.deliveries.append(asyncio.get_running_loop().create_future())
        return self.deliveries[-1]

    async def take_all(self) -> None:
        for delivery in self.deliveries:
            if not delivery.done():
                delivery.set_result(None)
        await asyncio.sleep(0)


class Told:
    """In place of a connection: what was told there, by code or type."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, frame: Any) -> None:
        self.told.append(getattr(frame, "code", frame.type))


class Learner:
    def __init__(self) -> None:
        metrics = GatewayMetrics()
        self.events, self.connection = SlowEvents(), Told()
        self.echoes = Echoes(metrics, seconds=0.05)
        rules = ChatRules(load_chat_rules(None))
        unused: Any = None
        events: Any = self.events
        connection: Any = self.connection
        services = Services(
            ChatSettings(), rules, metrics, unused, events, unused, unused, self.echoes
        )
        session = Session(USER, SESSION, None, None)
        self.session = LearnerSession(services, connection, session, 0)
        self.session.known.set()

    async def say(self, id_: str) -> None:
        await self.session.take(Say(type="say", id=id_, text="help"))


async def test_what_kafka_has_not_taken_is_not_called_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.echoes._LOOK_SECONDS", 0.01)
    learner = Learner()
    looking = asyncio.create_task(learner.echoes.run())
    await learner.say("m1")
    await asyncio.sleep(0.2)
    assert learner.connection.told == []
    await learner.events.take_all()
    await asyncio.sleep(0.2)
    assert learner.connection.told == ["accepted", "answers_delayed"]
    looking.cancel()


async def test_who_has_left_before_kafka_took_it_is_not_waited_for() -> None:
    learner = Learner()
    await learner.say("m1")
    learner.session.gone = True
    await learner.events.take_all()
    assert not learner.echoes._awaited


async def test_after_an_end_that_kafka_has_nothing_is_taken() -> None:
    learner = Learner()
    await learner.session.take(End(type="end"))
    await learner.events.take_all()
    await learner.say("m1")
    assert learner.connection.told == ["ended"]
