"""Every client of ours connects alike, Faust's among them."""

from __future__ import annotations

import ssl
import uuid
from typing import Literal

import pytest
from confluent_kafka import Producer
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from agents.kafka_client import choose_partition, connection, faust_credentials
from config.settings import KafkaSettings, Settings
from schemas.errors import InvalidSetting
from schemas.topics import EVENTS

SASL = {"sasl_username": "ada", "sasl_password": "secret", "sasl_mechanism": "SCRAM-SHA-512"}


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
def test_faust_connects_as_the_other_clients_do(protocol: str) -> None:
    kafka = KafkaSettings.model_validate({"security_protocol": protocol, **SASL})
    ours = connection(kafka)
    theirs = dict(credentials_to_aiokafka_auth(faust_credentials(kafka)))
    for options in (ours, theirs):
        tls = options.pop("ssl_context", None)
        assert isinstance(tls, ssl.SSLContext) is protocol.endswith("SSL")
    assert ours.pop("bootstrap_servers") == kafka.bootstrap_servers
    assert theirs == ours


def test_sasl_without_a_password_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="LEARNER_KAFKA__SASL_PASSWORD"):
        faust_credentials(KafkaSettings(security_protocol="SASL_SSL", sasl_username="ada"))


@pytest.mark.parametrize(
    ("ours", "theirs"), [("murmur2", "murmur2_random"), ("crc32", "consistent_random")]
)
def test_a_learner_is_in_the_partition_that_the_lms_chose(
    fresh_kafka: Settings, ours: Literal["murmur2", "crc32"], theirs: str
) -> None:
    choose = choose_partition(KafkaSettings(partitioner=ours))
    partitions = list(range(fresh_kafka.kafka.partitions))
    chosen: dict[bytes, int] = {}
    where = {"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers, "partitioner": theirs}
    lms = Producer(where)
    for _ in range(200):
        lms.produce(
            EVENTS,
            b"{}",
            str(uuid.uuid4()),
            on_delivery=lambda _, told: chosen.update({told.key(): told.partition()}),
        )
    assert lms.flush(20) == 0
    assert len(chosen) == 200
    assert len(set(chosen.values())) == len(partitions) > 1
    assert {key: choose(key, partitions, partitions) for key in chosen} == chosen
