"""Every client of ours connects alike, Faust's among them."""

from __future__ import annotations

import ssl

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from agents.kafka_client import connection, faust_credentials
from config.settings import KafkaSettings
from schemas.errors import InvalidSetting

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
