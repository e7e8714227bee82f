"""A responder process: takes learners' messages by partition and has them answered.

It shares the partitions evenly with whoever else runs (`chat.request_queue`). One that comes gets
its share as the others finish what they have begun; what one that is gone had begun is begun again
by the next. Redis may be away at any time, Kafka too: then it waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from agents.metrics_chat import ResponderMetrics
from chat.built_in import BuiltIn
from chat.event_producer import EventProducer
from chat.live_queue import LiveQueue
from chat.llm import Llm
from chat.llm_passages import ElasticsearchPassages
from chat.llm_request import client_session
from chat.llm_tokens import TokenBudget
from chat.request_queue import Leases, RequestQueue
from chat.responder import Responder
from chat.responder_answer import Answering
from chat.responder_lanes import Lanes
from config.chat_rules import load_chat_rules
from config.settings import Settings
from schemas.errors import StoreUnavailable
from streams.chat_rules import ChatRules

log = structlog.get_logger(__name__)

AT_ONCE = 32
"""Messages that one process answers at the same time."""
GRACE_SECONDS = 10.0
"""How long a process goes on with what it has begun once another is to do the work."""
_RENEW_SECONDS = 1.0
_PAUSE_SECONDS = 0.3
_HAND_OVER_SECONDS = 10.0


@dataclass
class ResponderProgress:
    """``answered``, ``let_go``: messages since the start, the latter without an answer of ours.
    ``waiting``: those of its ``partitions`` that wait now. ``error``: why Redis is away, or "".
    """

    answered: int = 0
    let_go: int = 0
    waiting: int = 0
    partitions: int = 0
    error: str = ""


Progress = Callable[[ResponderProgress], object]


async def run_responder(
    settings: Settings,
    stop: asyncio.Event,
    on_progress: Progress | None = None,
    metrics: ResponderMetrics | None = None,
) -> ResponderProgress:
    """Answers until ``stop``; then finishes what it can in `GRACE_SECONDS` and leaves the rest.

    Raises:
        BrokerUnavailable: Kafka is not there at the start.
        InvalidSetting: the language model's address is none.
    """
    async with AsyncExitStack() as stack:
        queue = RequestQueue(settings.redis, _name())
        stack.push_async_callback(queue.close)
        live = LiveQueue(settings.redis, settings.chat)
        stack.push_async_callback(live.close)
        responder = await stack.enter_async_context(responding(settings, metrics))
        producer = EventProducer(settings.kafka, _HAND_OVER_SECONDS)
        await producer.start()
        stack.push_async_callback(producer.stop)
        rules = ChatRules(load_chat_rules(settings.chat.rules_file))
        answering = Answering(settings.responder, queue, live, producer, responder, rules, metrics)
        process = _Process(queue, answering, on_progress, metrics)
        await process.run(stop)
    return process.progress


@asynccontextmanager
async def responding(
    settings: Settings, metrics: ResponderMetrics | None = None
) -> AsyncIterator[Responder]:
    """The responder that the settings ask for.

    Raises:
        InvalidSetting: the language model's address is none.
    """
    chosen = settings.responder
    if chosen.llm_url is None:
        yield BuiltIn()
        return
    async with AsyncExitStack() as stack:
        budget = TokenBudget(settings.redis, chosen.session_tokens, settings.chat.history_seconds)
        stack.push_async_callback(budget.close)
        session = await stack.enter_async_context(client_session(chosen))
        passages = None
        if chosen.passages:
            passages = ElasticsearchPassages(settings.elasticsearch)
            stack.push_async_callback(passages.close)
        yield Llm(chosen, session, budget, BuiltIn(), passages, metrics)


class _Process:
    def __init__(
        self,
        queue: RequestQueue,
        answering: Answering,
        on_progress: Progress | None,
        metrics: ResponderMetrics | None,
    ) -> None:
        self._queue = queue
        self._answering = answering
        self._on_progress = on_progress
        self._metrics = metrics
        self._lanes = Lanes(answering.answer, AT_ONCE)
        self._held: frozenset[int] = frozenset()
        self._leaving: dict[int, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self.progress = ResponderProgress()

    async def run(self, stop: asyncio.Event) -> None:
        taking = asyncio.create_task(self._take_messages())
        tasks: list[asyncio.Future[Any]] = [
            asyncio.create_task(stop.wait()),
            asyncio.create_task(self._keep_leases()),
            taking,
            self._lanes.failed,
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            taking.cancel()
            await self._finish()
        finally:
            for task in (*tasks, *self._leaving.values()):
                task.cancel()
            self._lanes.give_up()
            await self._leave()

    async def _finish(self, partition: int | None = None) -> None:
        """Of a partition, or of all, what was begun and can be finished in good time."""
        self._lanes.give_up_waiting(partition)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._lanes.ended(partition), GRACE_SECONDS)
        self._lanes.give_up(partition)

    async def _keep_leases(self) -> None:
        while True:
            try:
                self._share(await self._queue.renew())
                self.progress.waiting = await self._queue.waiting()
                self._tell("")
            except StoreUnavailable as error:
                self._tell(str(error))
            await asyncio.sleep(_RENEW_SECONDS)

    def _share(self, leases: Leases) -> None:
        for partition in self._lanes.partitions - (leases.held - leases.fresh):
            self._lanes.give_up(partition)
        self._held = leases.held
        staying = sorted(leases.held - self._leaving.keys(), key=self._lanes.count)
        for partition in staying[: max(len(staying) - leases.share, 0)]:
            self._leaving[partition] = asyncio.create_task(self._hand_on(partition))
        self._changed.set()

    async def _hand_on(self, partition: int) -> None:
        """To another responder, with what was begun and does not end in good time."""
        try:
            await self._finish(partition)
            with contextlib.suppress(StoreUnavailable):  # then at the next look at the shares
                await self._queue.release([partition])
        finally:
            self._queue.again(partition)
            del self._leaving[partition]

    async def _take_messages(self) -> None:
        while True:
            mine = self._held - self._leaving.keys()
            if not mine:
                await self._changed.wait()
                self._changed.clear()
                continue
            try:
                took = [await self._take(partition, len(mine)) for partition in mine]
                if not self._lanes.room:
                    self._lanes.freed.clear()
                    await self._lanes.freed.wait()
                elif not any(took):
                    await self._queue.wait()
            except StoreUnavailable:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _take(self, partition: int, sharers: int) -> bool:
        """Of what it has room for each partition gets its part, however much waits in one."""
        room = -(-self._lanes.room // sharers)
        requests = await self._queue.take(partition, room) if room else []
        for request in requests:
            if partition not in self._leaving:
                self._lanes.put(request)
        return bool(requests)

    def _tell(self, error: str) -> None:
        if bool(error) != bool(self.progress.error):
            log.warning("waits for Redis", reason=error) if error else log.info("Redis is back")
        progress = self.progress
        progress.error, progress.partitions = error, len(self._held)
        progress.answered, progress.let_go = self._answering.answered, self._answering.let_go
        if self._metrics:
            self._metrics.queued(progress.waiting)
        if self._on_progress:
            self._on_progress(progress)

    async def _leave(self) -> None:
        """Also when it fails: the others need not wait for the leases to run out."""
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            await asyncio.wait_for(self._queue.leave(), _RENEW_SECONDS)
        self._tell(self.progress.error)


def _name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
