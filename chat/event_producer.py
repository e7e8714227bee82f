"""Sends the gateway's events to ``learner.events``; nothing counts as taken before Kafka has it."""

from __future__ import annotations

import asyncio
import contextlib

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from agents.broker_errors import broker_errors
from agents.kafka_client import choose_partition, idempotent_producer
from config.settings import KafkaSettings
from schemas.errors import BrokerUnavailable
from schemas.event import ChatMessage, SessionEnded, SessionStarted
from schemas.topics import EVENTS

log = structlog.get_logger(__name__)

SessionEvent = ChatMessage | SessionStarted | SessionEnded

_BATCH_BYTES = 512 * 1024
"""Of one partition, while the batch before is on its way; further events wait."""
_STOP_SECONDS = 10


class EventProducer:
    """Keyed by ``user_id``, so a learner's events stay in order; idempotent, so a retry of ours
    leaves no second record.

    A producer that failed to deliver may refuse for ever what comes after (its numbering has a
    gap then): the next event gets a new one.
    """

    def __init__(self, kafka: KafkaSettings, hand_over_seconds: float) -> None:
        self._kafka = kafka
        self._seconds = hand_over_seconds
        self._producer: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises: BrokerUnavailable."""
        with broker_errors(self._kafka):
            self._producer = await self._started()

    async def stop(self) -> None:
        """Once Kafka has what was handed over, if it takes it in time."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)
        await asyncio.gather(*self._stopping)

    async def send(self, event: SessionEvent) -> asyncio.Future[object]:
        """Hands an event over; the future is done when Kafka has it, or fails.

        Events handed over one after the other arrive in that order.

        Raises:
            BrokerUnavailable: Kafka is away, and too much waits for it already.
        """
        value = event.model_dump_json(exclude_none=True).encode()
        key = event.user_id.encode()
        with broker_errors(self._kafka):
            async with asyncio.timeout(self._seconds):
                producer = self._producer or await self._renewed()
                try:
                    delivery: asyncio.Future[object] = await producer.send(EVENTS, value, key)
                except KafkaError:
                    self._give_up(producer)
                    raise
        delivery.add_done_callback(lambda done: self._look(producer, done))
        return delivery

    def _look(self, producer: AIOKafkaProducer, done: asyncio.Future[object]) -> None:
        if not done.cancelled() and done.exception() is not None:
            self._give_up(producer)

    def _give_up(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            log.warning("the producer failed: the next event gets a new one")
            self._producer = None
            task = asyncio.create_task(_stop(producer))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    async def _renewed(self) -> AIOKafkaProducer:
        async with self._renewing:
            if self._producer is None:
                self._producer = await self._started()
            return self._producer

    async def _started(self) -> AIOKafkaProducer:
        producer = idempotent_producer(
            self._kafka,
            max_batch_size=_BATCH_BYTES,
            partitioner=choose_partition(self._kafka),
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer


async def _stop(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(KafkaError, TimeoutError, BrokerUnavailable):
        await asyncio.wait_for(producer.stop(), _STOP_SECONDS)
