"""How far worker, facilitator, sinks and trainer are, and whether anybody is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupIdNotFound, for_code

from agents.facilitator import SOURCES
from agents.facilitator_partition import group_of as facilitator_group
from agents.kafka_client import committed_reader
from agents.sink import group_of, topic_names
from agents.topic_reader import last_record, partitions_of, read_to_end
from agents.topics import EVENTS, EXAMPLES, SNAPSHOTS
from agents.trainer_log import SNAPSHOT_KEY
from config.settings import KafkaSettings, Settings
from doctor.groups import GroupFacts, TrainerFacts
from schemas.errors import InvalidSetting
from schemas.snapshot import snapshot_adapter
from sinks.registry import STORES, sink_of

_PAUSE_SECONDS = 0.1
_LARGEST_SNAPSHOT = 8 * 1024 * 1024
_COUNTED = 100
"""Records that a group is behind in a partition, at most, for them to be looked at one by one."""


async def until_groups_are_kept(admin: AIOKafkaAdminClient, group: str) -> None:
    """On a new cluster the first question about a group makes the topic that keeps them."""
    while True:
        try:
            await admin.find_coordinator(group)
            return
        except GroupCoordinatorNotAvailableError:
            await asyncio.sleep(_PAUSE_SECONDS)


async def stores_with_groups(admin: AIOKafkaAdminClient, app_id: str) -> list[str]:
    """The stores whose sink has ever told a position."""
    there = {group for group, _ in await admin.list_consumer_groups()}
    return [store for store in STORES if group_of(app_id, store) in there]


async def groups(
    admin: AIOKafkaAdminClient, settings: Settings, stores: Iterable[str]
) -> list[GroupFacts]:
    """Of the worker, the facilitator and the sinks of ``stores``."""
    app_id = settings.worker.app_id
    wanted = [
        ("worker", "learner worker", app_id, [EVENTS]),
        ("facilitator", "learner facilitator", facilitator_group(app_id), list(SOURCES)),
    ]
    for store in stores:
        names = list(topic_names(app_id, _topics(store, settings)))
        if names:
            command = f"learner sink {store}"
            wanted.append((f"sink {store}", command, group_of(app_id, store), names))
    topics = {topic for *_, names in wanted for topic in names}
    starts, ends = await _bounds(settings.kafka, topics)
    found = []
    for who, command, group, names in wanted:
        members, state = await _members(admin, group)
        committed = {
            tp: told.offset
            for tp, told in (await admin.list_consumer_group_offsets(group)).items()
            if told.offset >= 0 and tp in ends and tp.topic in names
        }
        places = {tp: committed.get(tp, starts[tp]) for tp in ends if tp.topic in names}
        behind = await _behind(settings.kafka, places, ends)
        lag = {topic: sum(n for tp, n in behind.items() if tp.topic == topic) for topic in names}
        beyond = tuple(
            f"{tp.topic}/{tp.partition}" for tp, at in committed.items() if at > ends[tp]
        )
        found.append(GroupFacts(who, command, state, members, bool(committed), lag, beyond))
    return found


async def trainer(settings: Settings) -> TrainerFacts:
    """By its newest snapshot."""
    consumer = committed_reader(settings.kafka, max_partition_fetch_bytes=_LARGEST_SNAPSHOT)
    try:
        await consumer.start()
        examples = await partitions_of(consumer, EXAMPLES)
        starts = await consumer.beginning_offsets(examples)
        ends = await consumer.end_offsets(examples)
        (place,) = await partitions_of(consumer, SNAPSHOTS)
        record = await last_record(consumer, place, SNAPSHOT_KEY)
    finally:
        await consumer.stop()
    between = settings.trainer.snapshot_examples
    if record is None or record.value is None:
        return TrainerFacts(sum(ends[tp] - starts[tp] for tp in examples), None, between)
    snapshot = snapshot_adapter.validate_json(record.value)
    behind = sum(
        max(0, ends[tp] - max(starts[tp], snapshot.offsets.get(tp.partition, 0))) for tp in examples
    )
    return TrainerFacts(behind, max(0.0, time.time() - record.timestamp / 1000), between)


def _topics(store: str, settings: Settings) -> Sequence[str]:
    try:
        return sink_of(store, settings).topics
    except InvalidSetting:  # without its driver: the check of the store itself says so
        return ()


async def _members(admin: AIOKafkaAdminClient, group: str) -> tuple[int, str]:
    (answer,) = await admin.describe_consumer_groups([group])
    code, _, state, _, _, members, *_ = answer.groups[0]
    if code and for_code(code) is not GroupIdNotFound:  # nobody has ever joined it
        raise for_code(code)(f"consumer group {group}")
    return len(members), state


async def _behind(
    kafka: KafkaSettings,
    places: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> dict[TopicPartition, int]:
    """Records from each place to its end. A few are counted, since some may be markers: a group
    stands before the one that ends the last transaction, which is no record."""
    behind = {tp: max(0, ends[tp] - at) for tp, at in places.items()}
    few = [tp for tp, count in behind.items() if 0 < count <= _COUNTED]
    if not few:
        return behind
    behind |= dict.fromkeys(few, 0)
    consumer = committed_reader(kafka, auto_offset_reset="earliest")
    try:
        await consumer.start()
        consumer.assign(few)
        for tp in few:
            consumer.seek(tp, places[tp])
        async for record in read_to_end(consumer, few):
            behind[TopicPartition(record.topic, record.partition)] += 1
    finally:
        await consumer.stop()
    return behind


async def _bounds(
    kafka: KafkaSettings, topics: Iterable[str]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Where each partition begins, and where it ends for a ``read_committed`` reader."""
    consumer = committed_reader(kafka)
    try:
        await consumer.start()
        asked = [tp for topic in topics for tp in await partitions_of(consumer, topic)]
        return await consumer.beginning_offsets(asked), await consumer.end_offsets(asked)
    finally:
        await consumer.stop()
