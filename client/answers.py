"""Answers to deliveries, on their way to the facilitator."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.contract import encode
from schemas.delivery import Delivery, DeliveryAck
from schemas.errors import BrokerUnavailable
from schemas.topics import ACKS

log = logging.getLogger(__name__)

_STOP_SECONDS = 5.0
"""For a producer that failed: others may still be on their way with it."""


class Answer(NamedTuple):
    """``reason``: "" for a success."""

    status: Literal["success", "fail"]
    reason: str


class AnswerProducer:
    """``consumer``: who answers. Every copy of a partition has an answer before `send` returns.

    A producer that failed to deliver may refuse for ever what comes after (its numbering has a
    gap then): the next answer gets a new one.
    """

    def __init__(self, kafka: Mapping[str, Any], consumer: str) -> None:
        self._kafka, self._consumer = kafka, consumer
        self._producer: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises: KafkaError, if no Kafka answers."""
        self._producer = await self._started()

    async def stop(self) -> None:
        """Once Kafka has what was handed over, if it takes it in time."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()
        await asyncio.gather(*self._stopping)

    async def send(self, delivery: Delivery, answer: Answer, partition: int) -> None:
        """``partition``: that of the delivery, where its answer is waited for.

        Raises:
            BrokerUnavailable: Kafka does not take it.
        """
        now = datetime.now(UTC)
        ack = DeliveryAck(
            delivery.delivery_id, delivery.user_id, *answer, now, consumer=self._consumer
        )
        producer: AIOKafkaProducer | None = None
        try:
            producer = self._producer or await self._renewed()
            await producer.send_and_wait(
                ACKS, encode(ack), ack.user_id.encode(), partition=partition
            )
        except KafkaError as error:
            if producer is not None:
                self._give_up(producer)
            raise BrokerUnavailable(
                f"Kafka did not take the answer to delivery {ack.delivery_id} ({error!r}): try "
                "again"
            ) from error

    def _give_up(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            log.warning("the producer failed: the next answer gets a new one")
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
        producer = AIOKafkaProducer(**self._kafka, enable_idempotence=True, acks="all")
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer


async def _stop(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(KafkaError, TimeoutError):
        await asyncio.wait_for(producer.stop(), _STOP_SECONDS)
