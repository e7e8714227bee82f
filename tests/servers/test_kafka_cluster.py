"""The cluster that our tests start: any one broker may be lost, and leaders can be moved."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from servers.kafka_cluster import KafkaCluster

TOPIC = "kept"


@pytest.fixture(scope="module")
def cluster(kafka_cluster: KafkaCluster) -> KafkaCluster:
    """With the topic."""
    _create(kafka_cluster)
    return kafka_cluster


def _create(cluster: KafkaCluster) -> None:
    safe = {"min.insync.replicas": str(cluster.min_insync_replicas)}
    topic = NewTopic(TOPIC, 2, cluster.replication, config=safe)
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([topic])[TOPIC].result()
    cluster.wait_until_in_sync()


def commit(bootstrap: str, value: str) -> None:
    """One record in a transaction of its own, retried as Kafka asks for."""
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": value, "log_level": 0})
    producer.init_transactions(60)
    producer.begin_transaction()
    producer.produce(TOPIC, value.encode(), partition=0)
    producer.commit_transaction(60)


def read(bootstrap: str, count: int, group: str) -> list[bytes]:
    """As a group: its coordinator and its offsets are part of what must survive."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "log_level": 0,
        }
    )
    consumer.subscribe([TOPIC])
    found: list[bytes] = []
    limit = time.monotonic() + 60
    while len(found) < count and time.monotonic() < limit:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            found.append(message.value() or b"")
    consumer.commit(asynchronous=False)
    consumer.close()
    return found


def test_the_leader_may_be_killed_and_comes_back_in_sync(cluster: KafkaCluster) -> None:
    leader = cluster.leader_of(TOPIC, 0)
    cluster.brokers[leader].kill()
    commit(cluster.bootstrap, "without the leader")
    assert read(cluster.bootstrap, 1, "readers") == [b"without the leader"]
    cluster.brokers[leader].start()
    cluster.wait_until_in_sync()


def test_leaders_go_where_they_are_told_to(cluster: KafkaCluster) -> None:
    for to in (2, 0, 1):
        cluster.move_leaders(TOPIC, to)
        assert [cluster.leader_of(TOPIC, partition) for partition in range(2)] == [to, to]


def test_a_frozen_broker_loses_what_it_leads_and_wakes_in_sync(cluster: KafkaCluster) -> None:
    cluster.move_leaders(TOPIC, 1)
    cluster.brokers[1].freeze()
    try:
        limit = time.monotonic() + 60
        while cluster.leader_of(TOPIC, 0) == 1:
            assert time.monotonic() < limit
            time.sleep(0.2)
    finally:
        cluster.brokers[1].wake()
    cluster.wait_until_in_sync()


def test_who_connects_through_the_proxy_has_nothing_besides(cluster: KafkaCluster) -> None:
    assert cluster.proxy is not None
    commit(cluster.proxied_bootstrap, "through the proxy")
    cluster.proxy.refuse()
    try:
        with pytest.raises(KafkaException):
            AdminClient({"bootstrap.servers": cluster.proxied_bootstrap}).list_topics(timeout=2)
        commit(cluster.bootstrap, "past the proxy")
    finally:
        cluster.proxy.heal()
    commit(cluster.proxied_bootstrap, "healed")
