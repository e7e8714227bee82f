"""Learners' questions to Kafka, and what comes back on ``chat.messages``; responders to kill."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Producer
from example_chat.conversation import event_id

from chat.feed import ChatFeed
from chat.live_queue import Entry, LiveQueue
from chat.responder_process import ResponderProgress, run_responder
from config.settings import Settings
from schemas.chat import ChatRecord
from schemas.event import ChatMessage
from schemas.topics import EVENTS

SECONDS = 60


def question(user: str, number: object, text: str = "Why?", **fields: object) -> ChatMessage:
    """A learner's message; both names make its event."""
    given = {
        "type": "chat.message",
        "event_id": named(user, number),
        "user_id": user,
        "course_id": "algebra",
        "occurred_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "source": "chat-gateway",
        "session_id": "s1",
        "message_direction": "user",
        "message_text": text,
        "contextual_topic_id": "algebra-m1-t2",
        **fields,
    }
    return ChatMessage.model_validate_json(json.dumps(given))


def named(user: str, number: object) -> str:
    return event_id(f"{user} {number}")


class Conversation:
    """Everything on ``chat.messages``, as a gateway has it."""

    def __init__(self, settings: Settings, live: LiveQueue) -> None:
        self.settings = settings
        self.live = live
        self.records: list[ChatRecord] = []
        self._told: set[str] = set()
        self._news = asyncio.Event()
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka.bootstrap_servers,
                "partitioner": "murmur2_random",  # as the responder's: a learner has one partition
            }
        )

    def take(self, entries: Sequence[Entry]) -> None:
        self.records += [entry.record for entry in entries]
        self._news.set()

    def tell(self, *messages: ChatMessage) -> None:
        self._told |= {message.event_id for message in messages}
        for message in messages:
            value = message.model_dump_json(exclude_none=True)
            self._producer.produce(EVENTS, value=value, key=message.user_id)
        assert self._producer.flush(30) == 0

    def answers(self) -> list[ChatRecord]:
        """To what was told here, in the order in which they came."""
        return [r for r in self.records if r.in_reply_to in self._told]

    async def until(self, holds: Callable[[], bool], seconds: float = SECONDS) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def until_answered(self, count: int) -> None:
        await self.until(lambda: len({r.in_reply_to for r in self.answers()}) >= count)
        await asyncio.sleep(0.5)  # so that a second answer would be seen

    def assert_each_answered_once(self, count: int) -> None:
        times = Counter(record.in_reply_to for record in self.answers())
        assert len(times) == count
        assert set(times.values()) == {1}


@asynccontextmanager
async def conversation(settings: Settings) -> AsyncIterator[Conversation]:
    """With a gateway's feed of Redis."""
    live, stop = LiveQueue(settings.redis, settings.chat), asyncio.Event()
    talk = Conversation(settings, live)
    feed = ChatFeed(settings, live, talk.take)
    feeding = asyncio.create_task(feed.run(stop))
    try:
        async with asyncio.timeout(SECONDS):
            await feed.ready.wait()
        yield talk
    finally:
        stop.set()
        await feeding
        await live.close()


@asynccontextmanager
async def responder(
    settings: Settings,
) -> AsyncIterator[tuple[asyncio.Event, asyncio.Task[ResponderProgress]]]:
    """One in this process."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_responder(settings, stop))
    try:
        yield stop, task
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def shown(pubsub: Any) -> dict[str, Any]:
    """The next frame."""
    async with asyncio.timeout(SECONDS):
        while True:
            message = await pubsub.get_message(timeout=1)
            if message is not None:
                frame: dict[str, Any] = json.loads(message["data"])
                return frame
