"""What the audit reads from Kafka: the log itself, and how far everybody is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from pydantic import ValidationError

from agents.broker_errors import broker_errors
from agents.kafka_client import committed_reader, connection
from agents.prompt_sets import published_sets
from agents.topic_reader import partitions_of, read_topic
from agents.topics import ADOPTIONS, EVENTS, TREE_VERSIONS
from agents.tree_versions import tree_on
from config.seed_trees import seed_trees
from config.settings import KafkaSettings
from schemas.adoption import TreeAdoption, adoption_adapter
from schemas.errors import InvalidInput
from streams.decided_replay import Decided, PromptSets, Versions

log = structlog.get_logger(__name__)

Offsets = Mapping[TopicPartition, int]

_POLL_SECONDS = 0.3
_WAIT_MS = 200
_MARKERS_AT_MOST = 100


class KafkaLog:
    """One reader and one admin client for all that an audit asks; made by `kafka_log`."""

    def __init__(
        self, kafka: KafkaSettings, reader: AIOKafkaConsumer, admin: AIOKafkaAdminClient
    ) -> None:
        self._kafka = kafka
        self._reader = reader
        self._admin = admin

    async def ends(self, topics: Iterable[str]) -> dict[TopicPartition, int]:
        """Where each partition ends for a ``read_committed`` reader.

        Raises:
            BrokerUnavailable: a topic is not there.
        """
        partitions = [tp for topic in topics for tp in await partitions_of(self._reader, topic)]
        ends: dict[TopicPartition, int] = await self._reader.end_offsets(partitions)
        return ends

    async def offsets_at(self, at: datetime, ends: Offsets) -> dict[TopicPartition, int]:
        """The first event recorded at or after ``at`` in each partition, else its end."""
        ms = int(at.timestamp() * 1000)
        found = await self._reader.offsets_for_times(dict.fromkeys(ends, ms))
        return {tp: found[tp].offset if found.get(tp) else end for tp, end in ends.items()}

    async def behind(self, group: str, ends: Offsets) -> int:
        """How many offsets before ``ends`` a group has not committed, records or markers."""
        committed = await self._committed(group, ends)
        return sum(max(0, end - committed[tp]) for tp, end in ends.items())

    async def _committed(self, group: str, partitions: Iterable[TopicPartition]) -> Offsets:
        """0 where nothing was committed yet."""
        wanted = list(partitions)
        try:
            found = await self._admin.list_consumer_group_offsets(group, partitions=wanted)
        except GroupCoordinatorNotAvailableError:  # of a group's first moments
            found = {}
        return {tp: max(0, found[tp].offset) if tp in found else 0 for tp in wanted}

    async def until_done(self, group: str, ends: Offsets, seconds: float) -> int:
        """Waits until a group has committed all before ``ends``; how far behind it still is."""
        limit = time.monotonic() + seconds
        while behind := await self.behind(group, ends):
            if behind < _MARKERS_AT_MOST and not await self._records_left(group, ends):
                return 0
            if time.monotonic() >= limit:
                return behind
            await asyncio.sleep(_POLL_SECONDS)
        return 0

    async def _records_left(self, group: str, ends: Offsets) -> bool:
        """Whether any record, and not just a producer's transaction marker, is not committed."""
        committed = await self._committed(group, ends)
        for tp, end in ends.items():
            self._reader.assign([tp])
            self._reader.seek(tp, committed[tp])
            while await self._reader.position(tp) < end:
                fetched = await self._reader.getmany(tp, timeout_ms=_WAIT_MS)
                if any(record.offset < end for record in fetched.get(tp, ())):
                    return True
        return False

    async def records(self, tp: TopicPartition, end: int) -> AsyncIterator[list[ConsumerRecord]]:
        """Every committed record from the beginning to ``end``, in lists.

        Raises:
            InvalidInput: the log does not begin at its beginning any more.
        """
        self._reader.assign([tp])
        begin = (await self._reader.beginning_offsets([tp]))[tp]
        if begin > 0:
            raise InvalidInput(
                f"{tp.topic} partition {tp.partition} begins at offset {begin}: Kafka has dropped "
                "what came before (retention), so what it led to cannot be worked out again; "
                "`learner audit worker` says what can still be compared"
            )
        self._reader.seek(tp, begin)
        while await self._reader.position(tp) < end:
            fetched = await self._reader.getmany(tp, timeout_ms=_WAIT_MS)
            records = [record for record in fetched.get(tp, ()) if record.offset < end]
            if records:
                yield records

    async def decided(self) -> Decided:
        """What decided which events."""
        # In this order: what an adoption names was on its topic before it, or with it.
        adoptions = await self.adoptions()
        return Decided(adoptions, await self.versions(), await self.prompt_sets())

    async def versions(self) -> Versions:
        """Every tree version; of two with one number the first, which is the one that decided.

        What is none is passed over with a warning, as by those who decide.
        """
        known = {(tree.tree_id, tree.version): tree for tree in seed_trees().values()}
        async for record in read_topic(self._kafka, TREE_VERSIONS):
            if (tree := tree_on(record)) is not None:
                known.setdefault((tree.tree_id, tree.version), tree)
        return known

    async def prompt_sets(self) -> PromptSets:
        """Every set of prompts that a worker has decided with."""
        return await published_sets(self._kafka)

    async def adoptions(self) -> dict[int, list[TreeAdoption]]:
        """By partition of ``learner.events``, in order."""
        found: dict[int, list[TreeAdoption]] = {}
        async for record in read_topic(self._kafka, ADOPTIONS):
            try:
                adoption = adoption_adapter.validate_json(record.value or b"")
            except ValidationError:
                log.warning("record on tree.adoptions is no adoption", offset=record.offset)
            else:
                found.setdefault(adoption.partition, []).append(adoption)
        return found


@asynccontextmanager
async def kafka_log(kafka: KafkaSettings) -> AsyncIterator[KafkaLog]:
    """Connected for as long as the block lasts.

    Raises:
        BrokerUnavailable: nobody answers.
    """
    reader = committed_reader(kafka)
    admin = AIOKafkaAdminClient(**connection(kafka))
    try:
        with broker_errors(kafka):
            await reader.start()
            await admin.start()
            await partitions_of(reader, EVENTS)
        yield KafkaLog(kafka, reader, admin)
    finally:
        await reader.stop()
        await admin.close()
