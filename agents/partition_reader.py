"""One partition as a worker sees it: its events, and what its changelogs hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from agents.broker_errors import broker_errors
from agents.event_record import recorded_at
from agents.kafka_client import committed_reader
from agents.partition_tables import POSITION_KEY
from agents.topic_reader import partitions_of, read_to_end
from agents.topics import EVENTS, TABLES, changelog
from config.settings import Settings
from schemas.errors import InvalidRecord

_WAIT_MS = 200


def key_text(raw: bytes | None) -> str:
    """A changelog's key; what is no UTF-8 in it comes back by `key_bytes`."""
    return (raw or b"").decode("utf-8", "surrogateescape")


def key_bytes(key: str) -> bytes:
    """The key as it stands on Kafka."""
    return key.encode("utf-8", "surrogateescape")


class PartitionReader:
    """Made by `partition_reader`; everything is read once, from the beginning on.

    ``rows``: by table and key, what stands in the changelogs as far as they were read.
    ``begin``: the first offset that ``learner.events`` still has; ``begins_at``: when Kafka took
    that event, once it was read.
    """

    def __init__(self, consumer: AIOKafkaConsumer, app_id: str, partition: int, begin: int) -> None:
        self._consumer = consumer
        self._events = TopicPartition(EVENTS, partition)
        self._changelogs = {
            TopicPartition(changelog(app_id, table), partition): table for table in TABLES
        }
        self.begin = begin
        self.begins_at: datetime | None = None
        self.rows: dict[str, dict[str, bytes]] = {table: {} for table in TABLES}

    async def read_changelogs(self) -> tuple[int | None, int | None]:
        """Reads on to where they end now.

        What stands there was committed at the first of the two positions, or between it and the
        second one: a batch may be committed meanwhile. ``None``: nothing ever was.

        Raises:
            InvalidRecord: the position is no number.
        """
        (seen,) = (tp for tp, table in self._changelogs.items() if table == "seen")
        await self._read(seen)
        before = self._position()
        await self._read(*(tp for tp in self._changelogs if tp != seen))
        await self._read(seen)
        return before, self._position()

    async def events(self, until: int) -> AsyncIterator[list[ConsumerRecord]]:
        """Committed events from where the last call ended to before ``until``, in lists."""
        tp = self._events
        while await self._consumer.position(tp) < until:
            fetched = (await self._consumer.getmany(tp, timeout_ms=_WAIT_MS)).get(tp, [])
            records = [record for record in fetched if record.offset < until]
            if len(records) < len(fetched):
                self._consumer.seek(tp, until)
            if records:
                if self.begins_at is None:
                    self.begins_at = recorded_at(records[0].timestamp)
                yield records

    async def end(self) -> int:
        """Where ``learner.events`` ends now."""
        end: int = (await self._consumer.end_offsets([self._events]))[self._events]
        return end

    async def _read(self, *partitions: TopicPartition) -> None:
        async for record in read_to_end(self._consumer, partitions):
            rows = self.rows[self._changelogs[TopicPartition(record.topic, record.partition)]]
            key = key_text(record.key)
            if record.value is None:
                rows.pop(key, None)
            else:
                rows[key] = record.value

    def _position(self) -> int | None:
        raw = self.rows["seen"].get(POSITION_KEY.decode())
        if raw is None:
            return None
        if not raw.isdigit():
            raise InvalidRecord(f"the changelog of seen says {raw!r}, where an offset belongs")
        return int(raw)

    def states(self) -> dict[str, dict[str, bytes]]:
        """The rows without the position, which is no state of any learner."""
        pages = {
            key: raw for key, raw in self.rows["seen"].items() if key_bytes(key) != POSITION_KEY
        }
        return {**self.rows, "seen": pages}


@asynccontextmanager
async def partition_reader(settings: Settings, partition: int) -> AsyncIterator[PartitionReader]:
    """Connected for as long as the block lasts.

    Raises:
        BrokerUnavailable: nobody answers, or a topic is not there.
    """
    app_id = settings.worker.app_id
    # Never jump: a position out of range is an error, not "latest".
    consumer = committed_reader(settings.kafka, auto_offset_reset="none")
    try:
        with broker_errors(settings.kafka):
            await consumer.start()
            for topic in (EVENTS, *(changelog(app_id, table) for table in TABLES)):
                await partitions_of(consumer, topic)
        topics = [EVENTS, *(changelog(app_id, table) for table in TABLES)]
        partitions = [TopicPartition(topic, partition) for topic in topics]
        consumer.assign(partitions)
        begins = await consumer.beginning_offsets(partitions)
        for tp, offset in begins.items():
            consumer.seek(tp, offset)
        yield PartitionReader(consumer, app_id, partition, begins[partitions[0]])
    finally:
        await consumer.stop()


async def partition_numbers(settings: Settings) -> list[int]:
    """Of ``learner.events``.

    Raises:
        BrokerUnavailable: nobody answers, or the topic is not there.
    """
    consumer = committed_reader(settings.kafka)
    try:
        with broker_errors(settings.kafka):
            await consumer.start()
            return [tp.partition for tp in await partitions_of(consumer, EVENTS)]
    finally:
        await consumer.stop()
