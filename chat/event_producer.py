"""Sends the gateway's events to ``learner.events``; nothing counts as taken before Kafka has it."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from agents.broker_errors import broker_errors
from agents.kafka_client import choose_partition, idempotent_producer
from client.renewed_producer import RenewedProducer
from config.settings import KafkaSettings
from schemas.event import ChatMessage, SessionEnded, SessionStarted
from schemas.topics import EVENTS

SessionEvent = ChatMessage | SessionStarted | SessionEnded

_BATCH_BYTES = 512 * 1024
"""Of one partition, while the batch before is on its way; further events wait."""


class EventProducer:
    """Keyed by ``user_id``, so a learner's events stay in order; idempotent, so a retry of ours
    leaves no second record.
    """

    def __init__(self, kafka: KafkaSettings, hand_over_seconds: float) -> None:
        self._kafka = kafka
        self._seconds = hand_over_seconds
        self._producer = RenewedProducer(
            lambda: idempotent_producer(
                kafka, max_batch_size=_BATCH_BYTES, partitioner=choose_partition(kafka)
            )
        )

    async def start(self) -> None:
        """Raises: BrokerUnavailable."""
        with broker_errors(self._kafka):
            await self._producer.current()

    async def stop(self) -> None:
        """Once Kafka has what was handed over, if it takes it in time."""
        await self._producer.stop()

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
                producer = await self._producer.current()
                try:
                    delivery: asyncio.Future[object] = await producer.send(EVENTS, value, key)
                except KafkaError:
                    self._producer.give_up(producer)
                    raise
        delivery.add_done_callback(lambda done: self._look(producer, done))
        return delivery

    def _look(self, producer: AIOKafkaProducer, done: asyncio.Future[object]) -> None:
        if not done.cancelled() and done.exception() is not None:
            self._producer.give_up(producer)
