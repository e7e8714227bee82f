"""Reading a topic to its end: all partitions, committed records only, and it comes to an end."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from agents.topic_reader import read_topic
from agents.topics import DECISIONS
from config.settings import KafkaSettings, Settings
from schemas.errors import BrokerUnavailable


async def test_committed_records_of_all_partitions_and_no_others(fresh_kafka: Settings) -> None:
    producer = Producer(
        {
            "bootstrap.servers": fresh_kafka.kafka.bootstrap_servers,
            "transactional.id": fresh_kafka.worker.app_id,
        }
    )
    producer.init_transactions(20)
    for number, commit in enumerate([True, False, True, False]):
        producer.begin_transaction()
        for partition in range(4):
            producer.produce(DECISIONS, f"{number}/{partition}".encode(), partition=partition)
        producer.flush(20)
        if commit:
            producer.commit_transaction(20)
        else:
            producer.abort_transaction(20)
    found = [record.value.decode() async for record in read_topic(fresh_kafka.kafka, DECISIONS)]
    assert found == [f"{number}/{partition}" for partition in range(4) for number in (0, 2)]


async def test_an_empty_topic_is_read_at_once(fresh_kafka: Settings) -> None:
    assert [record async for record in read_topic(fresh_kafka.kafka, DECISIONS)] == []


async def test_a_topic_that_is_not_there_is_named(kafka_bootstrap: str) -> None:
    with pytest.raises(BrokerUnavailable, match=r"no-such-topic .*topics create"):
        async for _ in read_topic(
            KafkaSettings(bootstrap_servers=kafka_bootstrap), "no-such-topic"
        ):
            pass
