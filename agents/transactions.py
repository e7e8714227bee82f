"""One Kafka transaction per batch: everything that a list of events made, and how far it read.

A source partition has two transactional ids, used in turn: Kafka winds up one's transaction for
some milliseconds after it was committed, and lets it begin no other meanwhile. Whoever starts the
producers with them fences the owner before, so a worker that was frozen or cut off can change
nothing when it wakes.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.producer import sender
from aiokafka.structs import RecordMetadata

from agents.kafka_client import connection
from agents.topic_ids import topic_ids
from agents.transaction_protocol import TransactionalProducer
from config.settings import KafkaSettings

MAX_BATCH_BYTES = 512 * 1024
_COMPRESSION = "zstd"
"""States and decisions take a sixth to a twelfth of the disk, for no processor time that could be
measured (docs/decisions/0031)."""
_TIMEOUT_MS = 60_000
"""For a starved machine. A dead worker's transaction ends sooner: the next owner fences it."""
_RETRY_BACKOFF_MS = 5
# A transaction begun while the one before is still being wound up, which takes a few milliseconds,
# is tried again; aiokafka would wait 20 ms.
sender.BACKOFF_OVERRIDE = 0.002


class Outgoing(NamedTuple):
    """A record to send to ``topic``, in the partition that its cause came from unless one is
    named."""

    topic: str
    key: bytes
    value: bytes | None
    partition: int | None = None


class PartitionProducer:
    """The transactional producers of one source partition.

    Args:
        app_id: the consumer group, and the prefix of the transactional ids.
        timeout_ms: how long a transaction that nobody ends or fences stands in readers' way.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        app_id: str,
        source: TopicPartition,
        timeout_ms: int = _TIMEOUT_MS,
    ) -> None:
        self._partition = source.partition
        transactional_id = f"{app_id}-{source.partition}"
        self._producer, self._resting = (
            TransactionalProducer(
                **connection(kafka),
                transactional_id=id_,
                transaction_timeout_ms=timeout_ms,
                retry_backoff_ms=_RETRY_BACKOFF_MS,
                max_batch_size=MAX_BATCH_BYTES,
                compression_type=_COMPRESSION,
            )
            for id_ in (transactional_id, f"{transactional_id}-in-turn")
        )

    async def start(self) -> None:
        """Fences the partition's owner before, and ends what it had begun."""
        await asyncio.gather(self._producer.start(), self._resting.start())

    async def stop(self) -> None:
        await asyncio.gather(self._producer.stop(), self._resting.stop())

    async def commit(self, outgoing: Iterable[Outgoing]) -> dict[str, int]:
        """Sends the records, all or nothing; where to read on is one of them.

        Returns:
            By topic, how far the source's partition is known by them: the offset of the first
            record of the last batch sent to it. Who reads on from there misses nothing.

        1. begin
        2. every record into batches by topic, handed over without waiting for each
        3. all deliveries awaited (a commit does not fail for a lost one)
        4. commit
        """
        producer = self._producer
        await producer.begin_transaction()
        deliveries = await self._send(outgoing)
        delivered = await asyncio.gather(*deliveries)
        await producer.commit_transaction()
        self._producer, self._resting = self._resting, producer
        return {at.topic: at.offset for at in delivered if at.partition == self._partition}

    async def topic_ids(self, topics: Iterable[str]) -> dict[str, uuid.UUID]:
        """See `agents.topic_ids`."""
        return await topic_ids(self._producer.client, topics)

    async def _send(self, outgoing: Iterable[Outgoing]) -> list[asyncio.Future[RecordMetadata]]:
        by_place: dict[tuple[str, int], list[Outgoing]] = {}
        for record in outgoing:
            named = record.partition
            place = record.topic, self._partition if named is None else named
            by_place.setdefault(place, []).append(record)
        deliveries: list[asyncio.Future[RecordMetadata]] = []
        for (topic, partition), records in by_place.items():
            deliveries += await self._send_to(topic, partition, records)
        return deliveries

    async def _send_to(
        self, topic: str, partition: int, records: list[Outgoing]
    ) -> list[asyncio.Future[RecordMetadata]]:
        producer = self._producer
        deliveries = []
        batch = producer.create_batch()
        for record in records:
            if batch.append(key=record.key, value=record.value, timestamp=None) is None:
                deliveries.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                # The first is taken whatever its size: a dead letter may be larger than a batch.
                batch.append(key=record.key, value=record.value, timestamp=None)
        deliveries.append(await producer.send_batch(batch, topic, partition=partition))
        return deliveries
