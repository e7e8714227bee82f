"""Answers on a real Kafka, after one that could not be delivered."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import TopicPartition
from example_streams.decided import LEARNERS, START, decision

from client.answers import Answer, AnswerProducer
from config.settings import Settings
from faults.committed_records import committed_records
from schemas.delivery import ack_adapter
from schemas.errors import BrokerUnavailable
from schemas.topics import ACKS
from streams.delivery_records import DeliverableDecision, first_attempt

SECONDS = 20


async def test_after_a_batch_that_expired_the_next_answer_is_taken(fresh_kafka: Settings) -> None:
    decided = decision(1, LEARNERS[1])
    fields = DeliverableDecision.__dataclass_fields__
    told = DeliverableDecision(**{name: getattr(decided, name) for name in fields})
    delivery = first_attempt(told, START, START)
    bootstrap = fresh_kafka.kafka.bootstrap_servers
    answers = AnswerProducer({"bootstrap_servers": bootstrap}, "tutor")
    await answers.start()
    try:
        async with asyncio.timeout(SECONDS):
            await answers.send(delivery, Answer("success", ""), 0)
            # As a batch leaves it that expired while its partition had no leader.
            producer = await answers._producer.current()
            producer._txn_manager.increment_sequence_number(TopicPartition(ACKS, 0), 1)
            with pytest.raises(BrokerUnavailable, match="OutOfOrderSequenceNumber"):
                await answers.send(delivery, Answer("fail", "the gap"), 0)
            await answers.send(delivery, Answer("success", "again"), 0)
    finally:
        await answers.stop()
    found = committed_records(bootstrap, ACKS, fresh_kafka.kafka.partitions)[0]
    said = [ack_adapter.validate_json(message.value() or b"").reason for message in found]
    assert said == ["", "again"]
