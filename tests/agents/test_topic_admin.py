"""`topics create` on a real Kafka: creates, compares, changes nothing that exists."""

from __future__ import annotations

import asyncio
import time

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from agents.topic_admin import create_topics, partition_counts
from agents.topics import EVENTS, topic_specs
from config.settings import KafkaSettings, Settings, WorkerSettings
from schemas.errors import BrokerUnavailable
from servers.kafka_topics import delete_topics


def settings_for(bootstrap: str, **kafka: int) -> Settings:
    return Settings(
        _env_file=None,
        kafka=KafkaSettings(bootstrap_servers=bootstrap, **kafka),
        worker=WorkerSettings(app_id="topictest"),
    )


async def test_creates_every_topic_and_a_second_run_changes_nothing(kafka_bootstrap: str) -> None:
    delete_topics(kafka_bootstrap)
    settings = settings_for(kafka_bootstrap)
    first = await create_topics(settings)
    assert {report.state for report in first} == {"created"}
    assert {report.topic for report in first} == {
        spec.name for spec in topic_specs(settings.kafka, settings.worker)
    }
    assert (await partition_counts(settings.kafka))[EVENTS] == 4
    second = await create_topics(settings)
    assert [(report.state, report.differences) for report in second] == [("ready", ())] * len(first)


async def test_more_copies_than_brokers_are_told_with_what_to_do(kafka_bootstrap: str) -> None:
    delete_topics(kafka_bootstrap)
    with pytest.raises(BrokerUnavailable, match="LEARNER_KAFKA__REPLICATION"):
        await create_topics(settings_for(kafka_bootstrap, replication=3))


async def test_tells_how_an_existing_topic_differs(kafka_bootstrap: str) -> None:
    delete_topics(kafka_bootstrap)
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    made = [
        NewTopic(EVENTS, num_partitions=2, replication_factor=1),
        NewTopic("topictest-profile-changelog", num_partitions=4, replication_factor=1),
    ]
    for done in admin.create_topics(made).values():
        done.result()
    while EVENTS not in admin.list_topics().topics:
        await asyncio.sleep(0.02)
    reports = {made.topic: made for made in await create_topics(settings_for(kafka_bootstrap))}
    assert reports[EVENTS].state == "differs"
    assert "partitions 2, need 4" in reports[EVENTS].differences
    changelog = reports["topictest-profile-changelog"]
    assert changelog.differences[0] == "cleanup.policy delete, need compact"
    assert "segment.ms 604800000, need 600000" in changelog.differences
    assert len(admin.list_topics().topics[EVENTS].partitions) == 2  # left as it was


async def test_more_copies_than_brokers_is_refused_in_kafkas_words(kafka_bootstrap: str) -> None:
    delete_topics(kafka_bootstrap)
    with pytest.raises(BrokerUnavailable, match=r"refused to create topic .*[Rr]eplication"):
        await create_topics(settings_for(kafka_bootstrap, replication=3))


async def test_nobody_there_is_said_within_seconds() -> None:
    begun = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1 .*LEARNER_KAFKA__BOOTSTRAP"):
        await create_topics(settings_for("127.0.0.1:1"))
    assert time.monotonic() - begun < 6


def test_a_fresh_kafka_keeps_nothing_of_the_test_before(fresh_kafka: Settings) -> None:
    """Twice, so that the second finds what the first left behind."""
    bootstrap = fresh_kafka.kafka.bootstrap_servers
    for _ in range(2):
        producer = Producer({"bootstrap.servers": bootstrap})
        producer.produce(EVENTS, b"left behind")
        assert producer.flush(10) == 0
        delete_topics(bootstrap)
        admin = AdminClient({"bootstrap.servers": bootstrap})
        for done in admin.create_topics([NewTopic(EVENTS, 4, 1)]).values():
            done.result()
    reader = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "r", "auto.offset.reset": "earliest"}
    )
    reader.subscribe([EVENTS])
    assert reader.poll(2) is None
    reader.close()
