"""Answers to deliveries, on their way to the facilitator."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from client.renewed_producer import RenewedProducer
from schemas.contract import encode
from schemas.delivery import Delivery, DeliveryAck
from schemas.errors import BrokerUnavailable
from schemas.topics import ACKS


class Answer(NamedTuple):
    """``reason``: "" for a success."""

    status: Literal["success", "fail"]
    reason: str


class AnswerProducer:
    """``consumer``: who answers. Every copy of a partition has an answer before `send` returns."""

    def __init__(self, kafka: Mapping[str, Any], consumer: str) -> None:
        self._consumer = consumer
        self._producer = RenewedProducer(
            lambda: AIOKafkaProducer(**kafka, enable_idempotence=True, acks="all")
        )

    async def start(self) -> None:
        """Raises: KafkaError, if no Kafka answers."""
        await self._producer.current()

    async def stop(self) -> None:
        """Once Kafka has what was handed over, if it takes it in time."""
        await self._producer.stop()

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
            producer = await self._producer.current()
            await producer.send_and_wait(
                ACKS, encode(ack), ack.user_id.encode(), partition=partition
            )
        except KafkaError as error:
            if producer is not None:
                self._producer.give_up(producer)
            raise BrokerUnavailable(
                f"Kafka did not take the answer to delivery {ack.delivery_id} ({error!r}): try "
                "again"
            ) from error
