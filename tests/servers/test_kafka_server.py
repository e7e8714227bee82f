"""The broker that our tests start: same address and data after a kill."""

from __future__ import annotations

from collections.abc import Callable

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from servers.kafka import Kafka, KafkaServer


def test_killed_and_started_again_it_has_its_address_and_its_records(
    own_kafka: Callable[[], Kafka],
) -> None:
    kafka = own_kafka()
    address = kafka.bootstrap
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    for done in admin.create_topics([NewTopic("kept", 1, 1)]).values():
        done.result()
    producer = Producer({"bootstrap.servers": address, "log_level": 0})
    producer.produce("kept", b"before the kill")
    assert producer.flush(10) == 0
    kafka.kill()
    kafka.start()
    assert kafka.bootstrap == address
    reader = Consumer(
        {"bootstrap.servers": address, "group.id": "r", "auto.offset.reset": "earliest"}
    )
    reader.subscribe(["kept"])
    record = reader.poll(20)
    reader.close()
    assert record is not None
    assert record.value() == b"before the kill"


def test_stopped_it_leaves_nothing(own_kafka: Callable[[], Kafka]) -> None:
    kafka = own_kafka()
    if isinstance(kafka, KafkaServer):
        folder = kafka.data
        assert folder.is_dir()
        kafka.stop()
        assert not folder.exists()
        assert kafka.pid is None
