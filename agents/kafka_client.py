"""How every Kafka client of ours connects: the settings in aiokafka's words."""

from __future__ import annotations

from typing import Any

from aiokafka.helpers import create_ssl_context

from config.settings import KafkaSettings
from schemas.errors import InvalidSetting


def connection(kafka: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments for an aiokafka consumer, producer or admin client.

    Raises:
        InvalidSetting: the CA file cannot be read, or SASL lacks a name or password.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers,
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.endswith("SSL"):
        try:
            options["ssl_context"] = create_ssl_context(
                cafile=str(kafka.ssl_cafile) if kafka.ssl_cafile else None
            )
        except OSError as error:  # ssl.SSLError is one
            raise InvalidSetting(
                f"LEARNER_KAFKA__SSL_CAFILE: {kafka.ssl_cafile} is no CA file in PEM form ({error})"
            ) from None
    if kafka.security_protocol.startswith("SASL"):
        if kafka.sasl_username is None or kafka.sasl_password is None:
            raise InvalidSetting(
                f"{kafka.security_protocol} needs LEARNER_KAFKA__SASL_USERNAME and "
                "LEARNER_KAFKA__SASL_PASSWORD"
            )
        options["sasl_mechanism"] = kafka.sasl_mechanism
        options["sasl_plain_username"] = kafka.sasl_username
        options["sasl_plain_password"] = kafka.sasl_password.get_secret_value()
    return options
