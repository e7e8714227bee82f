"""Publishes an edit of a tree on ``tree.versions``, if nobody was quicker: a compare-and-set.

    1. read   every version that came into force, up to the end of the topic
    2. edit   them into the next version, one higher than the one in force
    3. send   it, acknowledged by every copy that must have it
    4. look   at what stands before it: of two records with one number the first is in force

Everybody who follows the topic takes only a higher number than the one they have, so 4 is the same
for all. Nothing is overwritten: who comes second is told who was first, and edits again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from agents.broker_errors import broker_errors
from agents.kafka_client import committed_reader, idempotent_producer
from agents.topic_reader import partitions_of, read_to_end
from agents.topics import TREE_VERSIONS
from agents.trainer_log import version_key
from agents.tree_versions import tree_on
from config.seed_trees import seed_trees
from config.settings import KafkaSettings
from schemas.errors import BrokerUnavailable, EditRefused
from schemas.fields import TreeId
from schemas.tree import TreeDocument
from streams.tree_edits import Versions

Edit = Callable[[Versions], TreeDocument]
"""The versions of a tree that came into force, to the next one; see ``streams.tree_edits``."""

_SECONDS = 30
"""For sending and for looking; more than a transaction of the trainer may stay open."""
_WAIT_MS = 200


async def publish_edit(
    kafka: KafkaSettings, tree_id: TreeId, edit: Edit, expect: int | None = None
) -> TreeDocument:
    """Returns the version once it is in force.

    Args:
        expect: the number of the version that must be in force before; any when not given.

    Raises:
        EditRefused: another version is in force, or came into force meanwhile; or ``edit`` says so.
        BrokerUnavailable: Kafka or the topic is not there; the text says if it was sent by then.
    """
    with broker_errors(kafka):
        async with _version_log(kafka) as log, _started_producer(kafka) as producer:
            in_force = log.versions(tree_id)[-1]
            if expect is not None and in_force.version != expect:
                raise EditRefused(f"not version {expect}, but {_told(in_force)} is in force")
            document = edit(log.versions(tree_id))
            with _in_doubt(document):
                async with asyncio.timeout(_SECONDS):
                    offset = await _send(producer, document)
                    await log.read_up_to(offset)
            if log.has(offset):
                return document
            first = next(v for v in log.versions(tree_id) if v.version >= document.version)
            raise EditRefused(
                f"nothing was changed: meanwhile {_told(first)} came into force; look at it with "
                f"`learner tree diff {tree_id}`, and edit again if you still want to"
            )


async def versions_in_force(kafka: KafkaSettings, tree_id: TreeId) -> Versions:
    """Every version of a tree that came into force, in order, version 0 from ``config/`` first.

    Raises:
        BrokerUnavailable: Kafka or the topic is not there.
    """
    with broker_errors(kafka):
        async with _version_log(kafka) as log:
            return log.versions(tree_id)


class _VersionLog:
    """The topic, read as everybody reads it; of its one partition."""

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        self._consumer = consumer
        self._partition = partition
        self._versions = {tree_id: [tree] for tree_id, tree in seed_trees().items()}
        self._taken: set[int] = set()

    def versions(self, tree_id: TreeId) -> Versions:
        return tuple(self._versions[tree_id])

    def has(self, offset: int) -> bool:
        """Whether the record there came into force."""
        return offset in self._taken

    async def read(self) -> None:
        async for record in read_to_end(self._consumer, [self._partition]):
            self._take(record)

    async def read_up_to(self, offset: int) -> None:
        """Past the record there; waits for transactions that stand open before it."""
        while await self._consumer.position(self._partition) <= offset:
            for records in (await self._consumer.getmany(timeout_ms=_WAIT_MS)).values():
                for record in records:
                    self._take(record)

    def _take(self, record: ConsumerRecord) -> None:
        document = tree_on(record)
        if document is None:
            return
        versions = self._versions[document.tree_id]
        if document.version > versions[-1].version:
            versions.append(document)
            self._taken.add(record.offset)


@asynccontextmanager
async def _version_log(kafka: KafkaSettings) -> AsyncIterator[_VersionLog]:
    """Read up to its end."""
    consumer = committed_reader(kafka, auto_offset_reset="earliest")
    try:
        await consumer.start()
        partition, *_ = await partitions_of(consumer, TREE_VERSIONS)
        consumer.assign([partition])
        consumer.seek(partition, (await consumer.beginning_offsets([partition]))[partition])
        log = _VersionLog(consumer, partition)
        await log.read()
        yield log
    finally:
        await consumer.stop()


@asynccontextmanager
async def _started_producer(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    producer = idempotent_producer(kafka)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, document: TreeDocument) -> int:
    value = document.model_dump_json().encode()
    sent = await producer.send_and_wait(TREE_VERSIONS, value, version_key(document), partition=0)
    return int(sent.offset)


@contextmanager
def _in_doubt(document: TreeDocument) -> Iterator[None]:
    try:
        yield
    except (KafkaError, TimeoutError, OSError) as error:
        raise BrokerUnavailable(
            f"{document.tree_id} version {document.version} was sent, but Kafka did not answer "
            f"({type(error).__name__}): see with `learner tree list --kafka …` if it is in force"
        ) from None


def _told(document: TreeDocument) -> str:
    return f"{document.tree_id} version {document.version} by {document.author} ({document.reason})"
