"""What Kafka is asked: brokers, topics, how large and how far each partition is."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
)

from agents.cluster_features import FeaturesRequest, features_of
from agents.kafka_client import choose_partition, committed_reader
from agents.topic_reader import partitions_of, read_to_end
from agents.topics import EVENTS, PENDING, TABLES, changelog, topic_specs
from config.settings import KafkaSettings, Partitioner, Settings
from doctor.broker import ASKED, BrokerFacts, LogDir, Range
from doctor.compaction import ChangelogFacts, due
from doctor.learner_partitions import LearnerPartitionFacts
from doctor.log_dirs_request import LogDirsRequest
from doctor.topics import PartitionFacts
from doctor.transactions import OpenTransaction

KAFKAS_OWN = ("__consumer_offsets", "__transaction_state")

_SENT: tuple[type[Request[Any]], ...] = (
    MetadataRequest,
    ProduceRequest,
    FetchRequest,
    OffsetRequest,
    FindCoordinatorRequest,
    JoinGroupRequest,
    SyncGroupRequest,
    HeartbeatRequest,
    InitProducerIdRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
)
_SEGMENT_BYTES = 1_073_741_824
_SAMPLE = 500
_NEWEST = 100
"""Events of a partition that are looked at."""
_SAMPLE_WAIT_MS = 1000

Sizes = Mapping[TopicPartition, int]


def requests_sent() -> dict[str, Range]:
    """The versions of each request that our client knows, by name."""
    known = {}
    for kind in _SENT:
        versions = [struct.API_VERSION for struct in kind._CLASSES]
        known[kind.__name__.removesuffix("Request")] = (min(versions), max(versions))
    return known


async def brokers(admin: AIOKafkaAdminClient) -> list[BrokerFacts]:
    """Every broker that the cluster knows."""
    found = await admin.describe_cluster()
    asked = [_broker(admin, node) for node in found["brokers"]]
    return sorted(await asyncio.gather(*asked))


async def partitions(
    admin: AIOKafkaAdminClient, settings: Settings
) -> tuple[list[PartitionFacts], dict[str, int]]:
    """Of our topics and Kafka's own; and how many copies a write to a topic of ours needs."""
    wanted = {*KAFKAS_OWN, *(s.name for s in topic_specs(settings.kafka, settings.worker))}
    facts = [
        PartitionFacts(
            topic["topic"],
            partition["partition"],
            partition["leader"],
            len(partition["replicas"]),
            len(partition["isr"]),
        )
        for topic in await admin.describe_topics()
        if topic["topic"] in wanted
        for partition in topic["partitions"]
    ]
    there = {fact.topic for fact in facts}
    told = await topic_configs(admin, there, "min.insync.replicas")
    return facts, {topic: int(value) for topic, value in told.items()}


async def topic_configs(
    admin: AIOKafkaAdminClient, topics: Iterable[str], name: str
) -> dict[str, str]:
    """One setting of each topic, where Kafka tells it."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic, {name: ""}) for topic in topics]
    if not asked:
        return {}
    return {
        topic: entry[1]
        for answer in await admin.describe_configs(asked)
        for code, _, _, topic, entries in answer.resources
        if not code
        for entry in entries
        if entry[0] == name
    }


async def changelogs(admin: AIOKafkaAdminClient, settings: Settings) -> list[ChangelogFacts]:
    """Every partition of every changelog; of the large ones their first records."""
    names = [changelog(settings.worker.app_id, table) for table in (*TABLES, PENDING)]
    sizes = await _sizes(admin)
    segments = await topic_configs(admin, names, "segment.bytes")
    facts = []
    consumer = committed_reader(settings.kafka, isolation_level="read_uncommitted")
    try:
        await consumer.start()
        for tp, bytes_ in sorted(sizes.items()):
            if tp.topic not in segments:
                continue
            segment = int(segments.get(tp.topic, _SEGMENT_BYTES))
            fact = ChangelogFacts(tp.topic, tp.partition, bytes_, segment)
            facts.append(await _sampled(consumer, fact) if due(bytes_, segment) else fact)
    finally:
        await consumer.stop()
    return facts


async def learner_partitions(settings: Settings) -> LearnerPartitionFacts:
    """By the newest events of each partition."""
    ours = settings.kafka.partitioner
    choices = {
        name: choose_partition(settings.kafka.model_copy(update={"partitioner": name}))
        for name in get_args(Partitioner)
    }
    looked_at, elsewhere = 0, Counter[str]()
    consumer = committed_reader(settings.kafka)
    try:
        await consumer.start()
        partitions = await partitions_of(consumer, EVENTS)
        every = [tp.partition for tp in partitions]
        consumer.assign(partitions)
        begins = await consumer.beginning_offsets(partitions)
        for tp, end in (await consumer.end_offsets(partitions)).items():
            consumer.seek(tp, max(begins[tp], end - _NEWEST))
        async for record in read_to_end(consumer, partitions):
            if record.key is None:
                continue
            looked_at += 1
            for name, choose in choices.items():
                elsewhere[name] += choose(record.key, every, every) != record.partition
    finally:
        await consumer.stop()
    others = [(name, elsewhere[name]) for name in choices if name != ours]
    return LearnerPartitionFacts(ours, looked_at, elsewhere[ours], others)


async def open_transactions(
    settings: Settings, topics: Iterable[str]
) -> tuple[int, list[OpenTransaction]]:
    """How many partitions there are, and those whose end is not stable."""
    kafka = settings.kafka
    stable, ends = await asyncio.gather(
        _ends(kafka, topics, "read_committed"), _ends(kafka, topics, "read_uncommitted")
    )
    open_ = {tp: at for tp, at in stable.items() if at < ends.get(tp, 0)}
    if not open_:
        return len(stable), []
    consumer = committed_reader(kafka, isolation_level="read_uncommitted")
    try:
        await consumer.start()
        found = []
        for tp, at in open_.items():
            written = await _written_at(consumer, tp, at)
            seconds = None if written is None else max(0.0, time.time() - written)
            behind = ends[tp] - at
            found.append(OpenTransaction(tp.topic, tp.partition, at, behind, seconds))
        return len(stable), found
    finally:
        await consumer.stop()


async def _broker(admin: AIOKafkaAdminClient, node: Mapping[str, Any]) -> BrokerFacts:
    number = node["node_id"]
    answer, config, folders = await asyncio.gather(
        admin._send_request_to_node(number, FeaturesRequest()),
        admin.describe_configs(
            [ConfigResource(ConfigResourceType.BROKER, str(number), dict.fromkeys(ASKED, ""))]
        ),
        _log_dirs(admin, number),
    )
    by_key = {key: (least, most) for key, least, most in answer.api_versions}
    return BrokerFacts(
        number,
        f"{node['host']}:{node['port']}",
        {
            kind.__name__.removesuffix("Request"): by_key[kind.API_KEY]
            for kind in _SENT
            if kind.API_KEY in by_key
        },
        features_of(answer),
        {e[0]: e[1] for told in config for *_, entries in told.resources for e in entries},
        tuple(
            LogDir(path, total, usable, for_code(error).__name__ if error else "")
            for error, path, _, total, usable in folders
        ),
    )


async def _log_dirs(admin: AIOKafkaAdminClient, node: int) -> list[Any]:
    """Nothing where the broker is too old to tell (before 3.3), or may not tell this user."""
    try:
        answer = await admin._send_request_to_node(node, LogDirsRequest())
    except NotImplementedError:  # so aiokafka says that there is no version in common
        return []
    return list(answer.results or ())


async def _sizes(admin: AIOKafkaAdminClient) -> Sizes:
    """The largest copy of each partition."""
    sizes: dict[TopicPartition, int] = {}
    for node in (await admin.describe_cluster())["brokers"]:
        for folder in await _log_dirs(admin, node["node_id"]):
            for name, parts in folder[2]:
                for number, bytes_, *_rest in parts:
                    tp = TopicPartition(name, number)
                    sizes[tp] = max(sizes.get(tp, 0), bytes_)
    return sizes


async def _sampled(consumer: AIOKafkaConsumer, fact: ChangelogFacts) -> ChangelogFacts:
    """With what stands at its first offsets."""
    tp = TopicPartition(fact.topic, fact.partition)
    consumer.assign([tp])
    start = (await consumer.beginning_offsets([tp]))[tp]
    consumer.seek(tp, start)
    fetched = await consumer.getmany(tp, timeout_ms=_SAMPLE_WAIT_MS, max_records=_SAMPLE)
    records = fetched.get(tp, [])
    if not records:
        return fact
    age = max(0.0, time.time() - min(record.timestamp for record in records) / 1000)
    return fact._replace(first=len(records), span=records[-1].offset + 1 - start, age=age)


async def _ends(
    kafka: KafkaSettings, topics: Iterable[str], isolation: str
) -> dict[TopicPartition, int]:
    consumer = committed_reader(kafka, isolation_level=isolation)
    try:
        await consumer.start()
        asked = [tp for topic in topics for tp in await partitions_of(consumer, topic)]
        ends: dict[TopicPartition, int] = await consumer.end_offsets(asked)
        return ends
    finally:
        await consumer.stop()


async def _written_at(consumer: AIOKafkaConsumer, tp: TopicPartition, at: int) -> float | None:
    """Seconds since 1970 of the record at an offset; ``None`` if it is none."""
    consumer.assign([tp])
    consumer.seek(tp, at)
    fetched = await consumer.getmany(tp, timeout_ms=_SAMPLE_WAIT_MS, max_records=1)
    return next((r.timestamp / 1000 for r in fetched.get(tp, []) if r.offset == at), None)
