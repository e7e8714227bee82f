"""The broker's clock: it stamps what a group commits, so a group of our own commits something.

No answer of Kafka's has a time in it, and events have their producers'. The group is deleted again.
"""

from __future__ import annotations

import asyncio
import time
import uuid

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import DeleteGroupsRequest

from agents.kafka_client import committed_reader
from agents.topic_reader import partitions_of
from agents.topics import EVENTS
from config.settings import Settings
from doctor.clocks import ClockFacts, measured

_COMMITS = "__consumer_offsets"
_WAIT_MS = 200


async def broker_clock(admin: AIOKafkaAdminClient, settings: Settings) -> ClockFacts:
    """Of the broker that has the group."""
    group = f"{settings.worker.app_id}-doctor-{uuid.uuid4().hex[:8]}"
    place = TopicPartition(EVENTS, 0)
    committer = committed_reader(settings.kafka, group_id=group)
    reader = committed_reader(settings.kafka)
    try:
        await committer.start()
        await partitions_of(committer, EVENTS)
        committer.assign([place])
        await committer.commit({place: 0})  # also makes Kafka's own topic, on a new cluster
        await reader.start()
        commits = await partitions_of(reader, _COMMITS)
        reader.assign(commits)
        for tp, end in (await reader.end_offsets(commits)).items():
            reader.seek(tp, end)
        before = time.time()
        await committer.commit({place: 0})
        after = time.time()
        while True:
            for records in (await reader.getmany(timeout_ms=_WAIT_MS)).values():
                for record in records:
                    if group.encode() in (record.key or b""):
                        return measured("kafka", before, record.timestamp / 1000, after)
    finally:
        await asyncio.gather(committer.stop(), reader.stop())
        await _delete(admin, group)


async def _delete(admin: AIOKafkaAdminClient, group: str) -> None:
    node = await admin.find_coordinator(group)
    answer = await admin._send_request_to_node(node, DeleteGroupsRequest([group]))
    for _, code in answer.results:
        if code:
            raise for_code(code)(f"the group {group}, made for a moment, could not be deleted")
