"""A query-strategy service that answers for nearly all that is delivered to it."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer

from agents.kafka_client import committed_reader, connection
from agents.topics import ACKS, DELIVERIES
from config.settings import Settings
from schemas.contract import encode
from schemas.delivery import DeliveryAck, delivery_adapter


async def answer(settings: Settings, stop: asyncio.Event) -> None:
    """Of ten deliveries, by their ids, seven are taken, two refused, one is never answered for."""
    consumer = committed_reader(settings.kafka, DELIVERIES, auto_offset_reset="earliest")
    producer = AIOKafkaProducer(**connection(settings.kafka))
    await consumer.start()
    await producer.start()
    try:
        while not stop.is_set():
            for records in (await consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    told = delivery_adapter.validate_json(record.value)
                    chance = int(told.delivery_id[:8], 16) % 10
                    if chance:
                        ack = DeliveryAck(
                            told.delivery_id,
                            told.user_id,
                            "fail" if chance < 3 else "success",
                            "",
                            told.delivery_timestamp,
                            "test",
                        )
                        await producer.send(ACKS, encode(ack), told.user_id.encode())
    finally:
        await consumer.stop()
        await producer.stop()
