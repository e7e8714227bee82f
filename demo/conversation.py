"""A learner of the class asks their tutor something, and the built-in responder answers.

As in the chat: the question is an event, the worker folds it and decides anew, and the answer is
given with the strategy of that moment; it is an event in turn. No gateway, no Redis: those need a
server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from agents.kafka_client import connection
from chat.answer_event import answer_event
from chat.built_in import BuiltIn
from chat.responder import Draft, Turn
from chat.session_events import Session, said
from config.chat_rules import load_chat_rules
from config.settings import Settings
from schemas.chat import ChatRecord
from schemas.chat_frames import Say
from schemas.event import ChatMessage
from schemas.topics import EVENTS
from streams.chat_rules import ChatRules

_SECONDS = 20.0
_LOOK_SECONDS = 0.02

FindRecord = Callable[[str], ChatRecord | None]
"""What has come on ``chat.messages`` of an event, by its id."""


class Conversation(NamedTuple):
    """Question and answer as they stand on ``chat.messages``; ``before``: the learner's last
    message before them."""

    before: ChatRecord
    question: ChatRecord
    answer: ChatRecord


async def converse(settings: Settings, before: ChatRecord, find: FindRecord) -> Conversation | None:
    """One question and its answer; ``None`` if one of them was not folded in time."""
    rules = ChatRules(load_chat_rules(settings.chat.rules_file))
    weakest = before.figures.weakest_topics
    topic_id = weakest[0].topic_id if weakest else before.contextual_topic_id
    session = Session(before.user_id, "demo", before.course_id or None)
    frame = Say(
        type="say",
        id="question",
        text="I don't understand this at all. Can you give me a hint?",
        topic_id=topic_id,
    )
    async with AIOKafkaProducer(**connection(settings.kafka)) as producer:

        async def told(event: ChatMessage) -> ChatRecord | None:
            value = event.model_dump_json(exclude_none=True).encode()
            await producer.send_and_wait(EVENTS, value, event.user_id.encode())
            return await _folded(event.event_id, find)

        # The class lives in simulated time: the question follows what came before it there.
        question = await told(said(session, frame, rules, before.timestamp))
        if question is None:
            return None
        draft = Draft(question)
        async for part in BuiltIn().answer(Turn(question)):
            draft.take(part)
        now = min(datetime.now(UTC), question.timestamp)
        answer = await told(answer_event(question, draft, rules, now))
    return None if answer is None else Conversation(before, question, answer)


async def _folded(event_id: str, find: FindRecord) -> ChatRecord | None:
    for _ in range(round(_SECONDS / _LOOK_SECONDS)):
        if (record := find(event_id)) is not None:
            return record
        await asyncio.sleep(_LOOK_SECONDS)
    return None
