"""Feeds the live queue from ``chat.messages``, and shows every message to its listener.

No consumer group: where to go on is kept in Redis, beside what was fed. Every gateway reads the
topic; of what several feed, Redis takes each message once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
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
_STOP_SECONDS = 2.0
_LOOK_SECONDS = 1.0
"""How often Redis is asked whether it still has everything, while nobody speaks."""


class _PositionLost(Exception):
    """Redis has come back empty, or with an older state."""


class ChatFeed:
    """One reader of ``chat.messages`` and the queue that it feeds."""

    def __init__(self, settings: Settings, queue: LiveQueue, on_entries: OnEntries) -> None:
        self._kafka = settings.kafka
        self._history = timedelta(seconds=settings.chat.history_seconds)
        self._queue = queue
        self._on_entries = on_entries
        self._consumer: AIOKafkaConsumer
        self._shown: dict[TopicPartition, int] = {}
        self._fed: dict[TopicPartition, int] = {}
        self.reading = asyncio.Event()
        """Set once Kafka is being read."""
        self.ready = asyncio.Event()
        """Set while what stands on Kafka is in Redis, but for what comes in now."""

    def has_all(self, positions: Mapping[int, int]) -> bool:
        """Whether a Redis that stands at these `LiveQueue.positions` has all that was shown."""
        return self.reading.is_set() and all(
            positions.get(tp.partition, -1) >= shown for tp, shown in self._shown.items()
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``. While Redis is away it waits; nothing is shown that Redis has not.

        Raises:
            BrokerUnavailable: Kafka or the topic is not there at the start.
        """
        self._consumer = committed_reader(
            self._kafka, fetch_max_wait_ms=_FETCH_WAIT_MS, auto_offset_reset="earliest"
        )
        try:
            with broker_errors(self._kafka):
                await self._consumer.start()
                partitions = await partitions_of(self._consumer, CHAT)
                self._shown = dict(await self._consumer.end_offsets(partitions))
            self.reading.set()
            told = ""
            while not stop.is_set():
                try:
                    await self._catch_up(partitions)
                    self.ready.set()
                    told = ""
                    await self._follow(stop)
                except _PositionLost:
                    log.warning("Redis lost what it had: sessions are fed to it again")
                except (StoreUnavailable, KafkaError) as error:
                    reason = str(error) or type(error).__name__
                    if reason != told:
                        log.warning("chat waits for Redis or Kafka", reason=reason)
                    told = reason
                    await asyncio.sleep(_PAUSE_SECONDS)
                self.ready.clear()
        finally:
            # aiokafka's fetcher misses a cancel that comes while it leaves an assignment, and
            # `stop` would wait for it for ever (aiokafka/consumer/fetcher.py:506): the time-out
            # cancels it again.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._consumer.stop(), _STOP_SECONDS)

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
        self._fed[tp] = at
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
        end: int = (await self._consumer.end_offsets([tp]))[tp]
        if known is not None:
            if known > end:
                raise StoreUnavailable(
                    f"Redis holds {CHAT}/{tp.partition} up to {known:,}, but that ends at {end:,}: "
                    "was the topic made anew? Then delete the keys chat:* from Redis"
                )
            # Another gateway may have fed what this one has not shown yet.
            return min(known, self._shown[tp]), False
        since = round((datetime.now(UTC) - self._history).timestamp() * 1000)
        found = (await self._consumer.offsets_for_times({tp: since}))[tp]
        return (end if found is None else found.offset), True

    async def _follow(self, stop: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        look_at = clock() + _LOOK_SECONDS
        while not stop.is_set():
            fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
            for tp, records in fetched.items():
                await self._take(tp, records, records[-1].offset + 1)
            if clock() >= look_at:
                if not self.has_all(await self._queue.positions()):
                    raise _PositionLost
                look_at = clock() + _LOOK_SECONDS

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
            tp.partition,
            entries,
            next_offset,
            since=self._fed[tp],
            first=first,
            answered=answered,
        ):
            raise _PositionLost
        self._fed[tp] = next_offset
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
