"""How every Kafka client of ours connects: the settings in aiokafka's words."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.helpers import create_ssl_context
from aiokafka.partitioner import DefaultPartitioner
from faust.auth import Credentials

from agents.aiokafka_mends import sit_out_outages
from client.consumer import Consumer
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


def choose_partition(kafka: KafkaSettings) -> Callable[[bytes, list[int], list[int]], int]:
    """aiokafka's ``partitioner`` for ``learner.events``: the same choice as the LMS's producers'.

    A learner's events must all be in one partition, whoever sends them.
    """
    if kafka.partitioner == "murmur2":
        chosen: Callable[[bytes, list[int], list[int]], int] = DefaultPartitioner()
        return chosen
    return lambda key, partitions, _: partitions[zlib.crc32(key) % len(partitions)]


def faust_credentials(kafka: KafkaSettings) -> Credentials | None:
    """The same connection in Faust's words; None for plain text."""
    options = connection(kafka)
    tls = options.get("ssl_context")
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=tls,
        )
    return None if tls is None else faust.SSLCredentials(tls)


def committed_reader(kafka: KafkaSettings, *topics: str, **options: Any) -> Consumer:
    """A consumer without a group that reads only what was committed: how we read every topic.

    Not started; ``options`` are aiokafka's own. Without topics, ``assign`` partitions yourself.
    """
    consumer = Consumer(
        *topics,
        **{
            **connection(kafka),
            "isolation_level": "read_committed",
            "enable_auto_commit": False,
            "check_crcs": kafka.check_crcs,
            "fetch_max_wait_ms": 50,
            "max_partition_fetch_bytes": 4 * 1024 * 1024,
            **options,
        },
    )
    sit_out_outages(consumer._client)
    return consumer


def idempotent_producer(kafka: KafkaSettings, **options: Any) -> AIOKafkaProducer:
    """A producer whose retries leave no second record; what it delivered, all copies have.

    Not started; ``options`` are aiokafka's own.
    """
    made = AIOKafkaProducer(**{**connection(kafka), "enable_idempotence": True, **options})
    sit_out_outages(made.client)
    return made
