"""Feeds the live queue from ``chat.messages``, and shows every message to its listener.

No consumer group: where to go on is kept in Redis, beside what was fed. Every gateway reads the
topic; of what several feed, Redis takes each message once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from pydantic import ValidationError

from agents.broker_errors import broker_errors
from agents.kafka_client import committed_reader
from agents.topic_reader import partitions_of, read_to_end
from chat.live_queue import Entry, LiveQueue
from config.settings import Settings
from schemas.chat import chat_adapter
from schemas.errors import StoreUnavailable
from schemas.topics import CHAT

log = structlog.get_logger(__name__)

OnEntries = Callable[[Sequence[Entry]], None]
"""Called with a partition's new messages, each once and in order, after Redis has them."""

_POLL_MS = 200
_FETCH_WAIT_MS = 20
_FEED_RECORDS = 500
_PAUSE_SECONDS = 0.3


class _PositionLost(Exception):
    """Redis has come back empty."""


class ChatFeed:
    """One reader of ``chat.messages`` and the queue that it feeds."""

    def __init__(self, settings: Settings, queue: LiveQueue, on_entries: OnEntries) -> None:
        self._kafka = settings.kafka
        self._history = timedelta(seconds=settings.chat.history_seconds)
        self._queue = queue
        self._on_entries = on_entries
        self._consumer: AIOKafkaConsumer = committed_reader(
            settings.kafka, fetch_max_wait_ms=_FETCH_WAIT_MS, auto_offset_reset="earliest"
        )
        self._shown: dict[TopicPartition, int] = {}
        self.ready = asyncio.Event()
        """Set while what stands on Kafka is in Redis, but for what comes in now."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``. While Redis is away it waits; nothing is shown that Redis has not.

        Raises:
            BrokerUnavailable: Kafka or the topic is not there at the start.
        """
        try:
            with broker_errors(self._kafka):
                await self._consumer.start()
                partitions = await partitions_of(self._consumer, CHAT)
                self._shown = dict(await self._consumer.end_offsets(partitions))
            while not stop.is_set():
                try:
                    await self._catch_up(partitions)
                    self.ready.set()
                    await self._follow(stop)
                except _PositionLost:
                    log.warning("Redis came back empty: sessions are fed to it again")
                except StoreUnavailable as error:
                    if self.ready.is_set():
                        log.warning("chat waits for Redis", reason=str(error))
                    await asyncio.sleep(_PAUSE_SECONDS)
                self.ready.clear()
        finally:
            await self._consumer.stop()

    async def _catch_up(self, partitions: list[TopicPartition]) -> None:
        """From where Redis stands, or from the history's beginning, to each partition's end.

        Twice through: a message whose answer follows is not queued for an answer again.
        """
        positions = {}
        for tp in partitions:
            start, first = await self._start(tp)
            self._consumer.assign([tp])
            self._consumer.seek(tp, start)
            answered = set()
            async for record in read_to_end(self._consumer, [tp]):
                answered |= {e.record.in_reply_to for e in _entries([record])} - {None}
            end = await self._consumer.position(tp)
            self._consumer.seek(tp, start)
            ahead = frozenset(id_ for id_ in answered if id_)
            positions[tp] = await self._feed_up_to(tp, end, ahead, first=first)
        self._consumer.assign(partitions)
        for tp, offset in positions.items():
            self._consumer.seek(tp, offset)

    async def _feed_up_to(
        self, tp: TopicPartition, end: int, answered: frozenset[str], *, first: bool
    ) -> int:
        at: int = await self._consumer.position(tp)
        if at >= end:
            await self._take(tp, [], at, first=first)
        while at < end:
            fetched = await self._consumer.getmany(
                tp, timeout_ms=_POLL_MS, max_records=_FEED_RECORDS
            )
            at = await self._consumer.position(tp)
            await self._take(tp, fetched.get(tp, []), at, first=first, answered=answered)
        return at

    async def _start(self, tp: TopicPartition) -> tuple[int, bool]:
        """Where to go on, and whether Redis knows nothing of the partition."""
        known = await self._queue.position(tp.partition)
        if known is not None:
            return known, False
        since = round((datetime.now(UTC) - self._history).timestamp() * 1000)
        found = (await self._consumer.offsets_for_times({tp: since}))[tp]
        if found is not None:
            return found.offset, True
        end: int = (await self._consumer.end_offsets([tp]))[tp]
        return end, True

    async def _follow(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
            for tp, records in fetched.items():
                await self._take(tp, records, records[-1].offset + 1)

    async def _take(
        self,
        tp: TopicPartition,
        records: Iterable[ConsumerRecord],
        next_offset: int,
        *,
        first: bool = False,
        answered: frozenset[str] = frozenset(),
    ) -> None:
        entries = _entries(records)
        if not await self._queue.feed(
            tp.partition, entries, next_offset, first=first, answered=answered
        ):
            raise _PositionLost
        shown = self._shown[tp]
        if new := [entry for entry in entries if entry.id >= shown]:
            self._on_entries(new)
        self._shown[tp] = max(shown, next_offset)


def _entries(records: Iterable[ConsumerRecord]) -> list[Entry]:
    entries = []
    for record in records:
        try:
            entries.append(Entry(record.offset, chat_adapter.validate_json(record.value)))
        except ValidationError as error:
            log.error(
                "no chat record, passed over",
                partition=record.partition,
                offset=record.offset,
                reason=error.errors(include_url=False, include_input=False)[0]["msg"],
            )
    return entries
