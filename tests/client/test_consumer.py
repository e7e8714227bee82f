"""What we mend in aiokafka's consumer, beside what it does without."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from client.consumer import Consumer
from config.settings import Settings
from schemas.topics import EVENTS


async def with_a_fetch_to_be_tried_again(
    kind: type[AIOKafkaConsumer], settings: Settings
) -> tuple[AIOKafkaConsumer, asyncio.Task[None]]:
    consumer = kind(bootstrap_servers=settings.kafka.bootstrap_servers)
    await consumer.start()
    consumer.assign([TopicPartition(EVENTS, 0)])
    await consumer.getmany(timeout_ms=100)
    waiting = asyncio.create_task(asyncio.sleep(60))
    consumer._fetcher._pending_tasks.add(waiting)
    await asyncio.sleep(0)
    return consumer, waiting


def connected(consumer: AIOKafkaConsumer) -> bool:
    return any(connection.connected() for connection in consumer._client._conns.values())


async def test_it_can_be_stopped_while_the_broker_is_away(fresh_kafka: Settings) -> None:
    stock, _ = await with_a_fetch_to_be_tried_again(AIOKafkaConsumer, fresh_kafka)
    with pytest.raises(asyncio.CancelledError):
        await stock.stop()
    assert connected(stock)  # it leaves them open
    await stock._client.close()
    mended, waiting = await with_a_fetch_to_be_tried_again(Consumer, fresh_kafka)
    await mended.stop()
    assert waiting.cancelled()
    assert not connected(mended)


async def test_whoever_stops_it_can_still_be_cancelled(fresh_kafka: Settings) -> None:
    consumer, waiting = await with_a_fetch_to_be_tried_again(Consumer, fresh_kafka)
    stopping = asyncio.create_task(consumer.stop())
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    waiting.cancel()
    await consumer.stop()
    await consumer._client.close()
