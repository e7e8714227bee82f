"""Answers one message: from the queue to the answer on ``learner.events``.

    1. look    whether it still wants an answer of ours
    2. write   the answer; pieces are shown as they come
    3. look    again: an expert may have taken over meanwhile
    4. send    it to Kafka, under an id derived from the message: made twice it is one answer
    5. done    with the message, once Kafka has it

Whoever dies before 5 leaves the message to the next one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TypeVar

import structlog
from aiokafka.errors import KafkaError

from agents.metrics_chat import ResponderMetrics
from chat.answer_event import answer_event
from chat.event_producer import EventProducer
from chat.live_queue import LiveQueue
from chat.request_queue import Request, RequestQueue
from chat.responder import BUILT_IN, Draft, Responder, Said, Start, Turn, said_before
from config.settings import ResponderSettings
from schemas.chat import ChatRecord
from schemas.chat_frames import GatewayFrame
from schemas.errors import BrokerUnavailable, StoreUnavailable
from schemas.event import ChatMessage
from streams.chat_rules import ChatRules

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

SORRY = (
    "Something went wrong while your answer was written; it was not your fault. "
    "Please ask once more."
)
MARGIN_SECONDS = 5.0
"""Beyond ``answer_seconds``, before a responder that does not end is ended."""
_TURNS = 40
"""Newest messages of the session that are looked at."""
_REMEMBERED = 1_000
_SHOW_SECONDS = 1.0
_RECENT_SECONDS = 2.0
_PAUSE_SECONDS = 0.3


class Answering:
    """Answers messages for a responder process; many may be under way at once."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        settings: ResponderSettings,
        queue: RequestQueue,
        live: LiveQueue,
        producer: EventProducer,
        responder: Responder,
        rules: ChatRules,
        metrics: ResponderMetrics | None = None,
    ) -> None:
        self._longest = settings.answer_seconds + MARGIN_SECONDS
        self._queue = queue
        self._live = live
        self._producer = producer
        self._responder = responder
        self._rules = rules
        self._metrics = metrics
        self._given: OrderedDict[str, Said] = OrderedDict()
        self.answered = 0
        self.let_go = 0
        """Messages that wanted no answer of ours."""

    async def answer(self, request: Request) -> None:
        """Returns once the message is out of the queue. Waits while Redis or Kafka is away."""
        record, draft = request.record, Draft(request.record)
        needless = await patiently(lambda: self._queue.needless(record))
        if needless is None:
            await self._write(draft, record)
            needless = await patiently(lambda: self._queue.needless(record))
        if needless is None:
            await self._send(answer_event(record, draft, self._rules, datetime.now(UTC)))
            self._remember(record, draft)
            self.answered += 1
        else:
            await self._show(record, draft.take(Start(BUILT_IN)))
            self.let_go += 1
        await patiently(lambda: self._queue.done(request.partition, request.id))
        if self._metrics:
            waited = (datetime.now(UTC) - record.timestamp).total_seconds()
            responder = "" if needless else draft.start.responder
            self._metrics.answered(responder, needless or "sent", max(waited, 0.0))

    async def _write(self, draft: Draft, record: ChatRecord) -> None:
        turn = Turn(record, await self._recent(record))
        showing = True
        try:
            async with asyncio.timeout(self._longest):
                async with aclosing(self._responder.answer(turn)) as parts:
                    async for part in parts:
                        frame = draft.take(part)
                        showing = showing and await self._show(record, frame)
            if draft.text:
                return
            log.error("a responder had no words", event_id=record.event_id)
        except Exception:
            # Raised, it would end the next process as well, and so on.
            log.exception("no answer was made", event_id=record.event_id)
        for part in (Start(BUILT_IN), SORRY):
            await self._show(record, draft.take(part))

    async def _recent(self, record: ChatRecord) -> tuple[Said, ...]:
        try:
            async with asyncio.timeout(_RECENT_SECONDS):
                found = await self._live.latest(record.user_id, record.session_id, _TURNS)
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("answered without what was said before", reason=str(error) or "slow")
            return ()
        return said_before([entry.record for entry in found], record, self._given)

    async def _show(self, record: ChatRecord, frame: GatewayFrame | None) -> bool:
        """Whether it was shown in time. If not, the message itself will be, later."""
        if frame is None:
            return True
        try:
            async with asyncio.timeout(_SHOW_SECONDS):
                raw = frame.model_dump_json().encode()
                await self._live.tell(record.user_id, record.session_id, raw)
        except (StoreUnavailable, TimeoutError):
            return False
        return True

    async def _send(self, event: ChatMessage) -> None:
        while True:
            try:
                await (await self._producer.send(event))
                return
            except (BrokerUnavailable, KafkaError) as error:
                log.warning("answer waits for Kafka", reason=str(error))
            await asyncio.sleep(_PAUSE_SECONDS)

    def _remember(self, record: ChatRecord, draft: Draft) -> None:
        """Until it has come back on ``chat.messages``, the next message needs it from here."""
        self._given[record.event_id] = Said("system", draft.text, draft.start.responder)
        if len(self._given) > _REMEMBERED:
            self._given.popitem(last=False)


async def patiently(work: Callable[[], Awaitable[_T]]) -> _T:
    """Does it as soon as the store is there."""
    while True:
        try:
            return await work()
        except StoreUnavailable:
            await asyncio.sleep(_PAUSE_SECONDS)
