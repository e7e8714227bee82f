"""Makes our topics on a Kafka, and says where one that exists differs from what we need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    InvalidReplicationFactorError,
    KafkaError,
    TopicAlreadyExistsError,
    for_code,
)

from agents.kafka_client import connection
from agents.topics import TopicSpec, topic_specs
from config.settings import KafkaSettings, Settings
from schemas.errors import BrokerUnavailable

_CONNECT_SECONDS = 5
_REQUEST_MS = 15_000
_TOPIC_EXISTS = TopicAlreadyExistsError.errno


class TopicReport(NamedTuple):
    """``differences`` say what there is and what we need, e.g. ``partitions 1, need 4``."""

    topic: str
    state: Literal["created", "ready", "differs", "missing"]
    differences: tuple[str, ...] = ()


async def create_topics(settings: Settings) -> list[TopicReport]:
    """Creates what is missing, leaves what exists as it is. Running it again changes nothing.

    Raises:
        BrokerUnavailable: nobody answers within seconds, or the broker refuses a topic.
    """
    specs = [_with_replicas(spec, settings.kafka) for spec in _specs(settings)]
    async with admin_client(settings.kafka) as admin:
        created = await _create(admin, specs, settings.kafka)
        return await _compare(admin, specs, settings.kafka, created)


async def compare_topics(admin: AIOKafkaAdminClient, settings: Settings) -> list[TopicReport]:
    """The same for an `admin_client` that is only to look: what is missing stays so."""
    specs = [_with_replicas(spec, settings.kafka) for spec in _specs(settings)]
    existing = set(await admin.list_topics())
    there = [spec for spec in specs if spec.name in existing]
    missing = [TopicReport(spec.name, "missing") for spec in specs if spec.name not in existing]
    return sorted([*await _compare(admin, there, settings.kafka, set()), *missing])


async def partition_counts(kafka: KafkaSettings) -> dict[str, int]:
    """How many partitions each topic has that is there.

    Raises:
        BrokerUnavailable: nobody answers within seconds.
    """
    async with admin_client(kafka) as admin:
        return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}


def _specs(settings: Settings) -> tuple[TopicSpec, ...]:
    return topic_specs(settings.kafka, settings.worker)


def _with_replicas(spec: TopicSpec, kafka: KafkaSettings) -> TopicSpec:
    replicas = {"min.insync.replicas": str(kafka.min_insync_replicas)}
    return spec._replace(config={**spec.config, **replicas})


async def _create(
    admin: AIOKafkaAdminClient, specs: list[TopicSpec], kafka: KafkaSettings
) -> set[str]:
    existing = set(await admin.list_topics())
    missing = [spec for spec in specs if spec.name not in existing]
    if not missing:
        return set()
    answer = await admin.create_topics(
        [
            NewTopic(spec.name, spec.partitions, kafka.replication, topic_configs=spec.config)
            for spec in missing
        ],
        timeout_ms=_REQUEST_MS,
    )
    for name, code, *message in answer.topic_errors:
        if code and code != _TOPIC_EXISTS:
            said = (message and message[0]) or for_code(code).__name__
            hint = ""
            if code == InvalidReplicationFactorError.errno:
                hint = ": start more brokers, or lower LEARNER_KAFKA__REPLICATION"
            raise BrokerUnavailable(f"Kafka refused to create topic {name}: {said}{hint}")
    # The controller answers before the brokers know: who starts next must find them.
    names = {spec.name for spec in missing}
    async with asyncio.timeout(_REQUEST_MS / 1000):
        while not names.issubset(await admin.list_topics()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return names


async def _compare(
    admin: AIOKafkaAdminClient, specs: list[TopicSpec], kafka: KafkaSettings, created: set[str]
) -> list[TopicReport]:
    old = [spec for spec in specs if spec.name not in created]
    there, configured = await _layout(admin, old), await _configured(admin, old)
    reports = [TopicReport(name, "created") for name in created]
    for spec in old:
        partitions, replicas = there[spec.name]
        wanted: list[tuple[str, object, object]] = [
            ("partitions", partitions, spec.partitions),
            ("replication", replicas, kafka.replication),
            *(
                (name, configured[spec.name].get(name), value)
                for name, value in spec.config.items()
            ),
        ]
        different = tuple(f"{what} {is_}, need {need}" for what, is_, need in wanted if is_ != need)
        reports.append(TopicReport(spec.name, "differs" if different else "ready", different))
    return sorted(reports)


async def _layout(admin: AIOKafkaAdminClient, specs: list[TopicSpec]) -> dict[str, tuple[int, int]]:
    """Partitions and copies of each topic."""
    if not specs:
        return {}
    found = await admin.describe_topics([spec.name for spec in specs])
    return {
        topic["topic"]: (
            len(topic["partitions"]),
            min(len(partition["replicas"]) for partition in topic["partitions"]),
        )
        for topic in found
    }


async def _configured(
    admin: AIOKafkaAdminClient, specs: list[TopicSpec]
) -> dict[str, dict[str, str]]:
    """What Kafka has for the settings that we care about."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, spec.name, spec.config) for spec in specs]
    if not asked:
        return {}
    answers: list[Any] = await admin.describe_configs(asked)
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for answer in answers
        for _code, _message, _kind, name, entries in answer.resources
    }


@asynccontextmanager
async def admin_client(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connected.

    Raises:
        BrokerUnavailable: nobody answers within seconds, or what is asked meanwhile fails.
    """
    admin = AIOKafkaAdminClient(request_timeout_ms=_REQUEST_MS, **connection(kafka))
    try:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await admin.start()
            yield admin
        except (KafkaError, TimeoutError) as error:
            raise BrokerUnavailable(
                f"no Kafka answers at {kafka.bootstrap_servers} ({type(error).__name__}): start "
                "one, or set LEARNER_KAFKA__BOOTSTRAP_SERVERS"
            ) from None
    finally:
        await admin.close()
