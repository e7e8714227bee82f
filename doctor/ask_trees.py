"""Which tree versions and prompts are in force, and which the workers decided with."""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.kafka_client import committed_reader
from agents.prompt_sets import prompts_in, published_sets
from agents.topic_reader import last_record, partitions_of, read_topic
from agents.topics import ADOPTIONS, EVENTS, TREE_VERSIONS
from agents.tree_versions import tree_on
from config.seed_trees import seed_trees
from config.settings import Settings
from doctor.trees import AdoptionFacts, TreeFacts
from schemas.adoption import adoption_adapter

_LARGEST_EVENT = 4 * 1024 * 1024


async def trees(admin: AIOKafkaAdminClient, settings: Settings) -> TreeFacts:
    """As the topics tell it now."""
    in_force = {str(tree): (document.version, 0.0) for tree, document in seed_trees().items()}
    known = {tree: {version} for tree, (version, _) in in_force.items()}
    async for record in read_topic(settings.kafka, TREE_VERSIONS):
        document = tree_on(record)
        if document is None:
            continue
        known[document.tree_id].add(document.version)
        if document.version > in_force[document.tree_id][0]:
            in_force[document.tree_id] = document.version, record.timestamp / 1000
    ours = prompts_in(settings.prompts.folder).version
    published = await published_sets(settings.kafka)
    committed = await admin.list_consumer_group_offsets(settings.worker.app_id)
    positions = {tp: told.offset for tp, told in committed.items()}
    consumer = committed_reader(settings.kafka, max_partition_fetch_bytes=_LARGEST_EVENT)
    try:
        await consumer.start()
        adoptions = await _adoptions(consumer, positions)
    finally:
        await consumer.stop()
    return TreeFacts(
        in_force,
        {tree: frozenset(versions) for tree, versions in known.items()},
        adoptions,
        frozenset({*published, ours, prompts_in(None).version}),
        ours,
        settings.worker.pin_trees,
    )


async def _adoptions(
    consumer: AIOKafkaConsumer, positions: Mapping[TopicPartition, int]
) -> list[AdoptionFacts]:
    found = []
    events = {tp.partition: tp for tp in await partitions_of(consumer, EVENTS)}
    ends = await consumer.end_offsets(list(events.values()))
    for tp in await partitions_of(consumer, ADOPTIONS):
        record = await last_record(consumer, tp)
        if record is None:
            continue
        adoption = adoption_adapter.validate_json(record.value or b"")
        source = events.get(adoption.partition)
        newest = None
        if source is not None and positions.get(source, -1) >= ends[source]:
            event = await last_record(consumer, source)
            newest = None if event is None else event.timestamp / 1000
        versions = {str(tree): version for tree, version in adoption.versions.items()}
        found.append(AdoptionFacts(adoption.partition, versions, adoption.prompt_version, newest))
    return found
