"""Runs a sink: from Kafka into its store, in batches, each committed once the store has it.

    1. gather   a batch by count, bytes and age, records judged by their contract
    2. write    until the store takes it; while it is away, wait longer each time
    3. refuse   of a batch that the store refuses, only the bad records go to learner.dlq
    4. commit   the offsets of the batch

A sink that dies between 2 and 4 writes the batch again: that changes nothing (`sinks.contract`).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from agents import topics
from agents.broker_errors import broker_errors
from agents.kafka_client import committed_reader
from agents.metrics_sink import SinkMetrics
from agents.refused_records import write_apart
from agents.sink_batch import Batch, gather
from agents.sink_letters import SinkLetters
from agents.sink_records import made_record
from agents.topic_reader import partitions_of
from agents.worker import rules
from config.seed_trees import seed_trees
from config.settings import Settings, SinkSettings
from schemas.errors import StoreUnavailable
from sinks.contract import Sink, SinkRecord

log = structlog.get_logger(__name__)

_PROGRESS_SECONDS = 1.0
_SESSION_MS = 10_000
_LONGEST_OUTAGE_MS = 7 * 24 * 3600 * 1000
"""aiokafka leaves the group if nobody asks for records; while a store is away, nobody does."""


@dataclass
class SinkProgress:
    """``written``, ``refused``: records since the start. ``behind``: committed records on Kafka
    not yet in the store. ``error``: why the store is away now, "" while it is not.
    """

    store: str
    written: int = 0
    refused: int = 0
    behind: int = 0
    error: str = ""


Progress = Callable[[SinkProgress], object]
Work = Callable[[], Awaitable[None]]


def group_of(app_id: str, store: str) -> str:
    """The consumer group of a store's sink."""
    return f"{app_id}-sink-{store}"


async def run_sinks(
    settings: Settings,
    sinks: Sequence[Sink],
    stop: asyncio.Event,
    on_progress: Progress | None = None,
    metrics: SinkMetrics | None = None,
) -> list[SinkProgress]:
    """Each sink by itself, until ``stop``; ``on_progress`` about once a second for each.

    Raises:
        BrokerUnavailable: Kafka or one of the topics is not there.
        Exception: a sink met what it cannot mend; nothing of that batch is committed.
    """
    agents = [SinkAgent(settings, sink, on_progress, metrics) for sink in sinks]
    tasks = [asyncio.create_task(agent.run(stop)) for agent in agents]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return [agent.progress for agent in agents]


class SinkAgent:
    """One sink and its consumer group."""

    def __init__(
        self,
        settings: Settings,
        sink: Sink,
        on_progress: Progress | None = None,
        metrics: SinkMetrics | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics or SinkMetrics()
        self._sink = sink
        self._names = topic_names(settings.worker.app_id, sink.topics)
        self._rules = rules(settings.worker)
        self._letters = SinkLetters(settings, sink.name)
        self._on_progress = on_progress
        self._told = 0.0
        self._committed: dict[TopicPartition, int] = {}
        self._consumer = _consumer(settings, sink.name)
        self.progress = SinkProgress(sink.name)

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; see `run_sinks`."""
        try:
            async with self._reading(), self._letters:
                if await self._until_done(self._begin, stop):
                    await self._follow(stop)
        finally:
            await self._sink.close()

    async def _begin(self) -> None:
        """Also after each outage: what the store has lost meanwhile is made anew."""
        await self._sink.setup()
        if topics.TREE_VERSIONS in self._sink.topics:
            # Version 0 of each tree is on no topic; a decision by it must find it all the same.
            await self._sink.write(seed_records())

    async def _follow(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            batch = await gather(
                self._consumer, self._names, self._rules, self._settings.sink, stop
            )
            for record, reason in batch.unreadable:
                await self._letters.unreadable(record, reason)
                self._count_refused()
            if batch.records and not await self._write(batch.records, stop):
                return
            await self._commit(batch, stop)
            await self._tell()
        await self._tell(now=True)

    async def _write(self, records: Sequence[SinkRecord], stop: asyncio.Event) -> bool:
        """Whether all was written before ``stop``; refused records are letters by then."""

        async def write(part: Sequence[SinkRecord]) -> bool:
            once = functools.partial(self._write_once, part)
            if not await self._until_done(once, stop, self._begin):
                return False
            self.progress.written += len(part)
            return True

        async def refused(record: SinkRecord, reason: str) -> None:
            await self._letters.refused(record, reason)
            self._count_refused()

        return await write_apart(records, write, refused)

    async def _write_once(self, part: Sequence[SinkRecord]) -> None:
        began = time.monotonic()
        await self._sink.write(part)
        self._metrics.written(self._sink.name, len(part), time.monotonic() - began)

    def _count_refused(self) -> None:
        self.progress.refused += 1
        self._metrics.refused(self._sink.name)

    async def _until_done(self, work: Work, stop: asyncio.Event, again: Work | None = None) -> bool:
        """Tries for as long as the store is away, after the first time ``again`` before ``work``;
        false if ``stop`` came first."""
        for pause in _pauses(self._settings.sink):
            try:
                if again is not None and self.progress.error:
                    await again()
                await work()
            except StoreUnavailable as error:
                if not self.progress.error:
                    log.warning("store is away", store=self._sink.name, reason=str(error))
                self.progress.error = str(error)
                self._metrics.away(self._sink.name, away=True)
            else:
                if self.progress.error:
                    log.info("store is back", store=self._sink.name)
                self.progress.error = ""
                self._metrics.away(self._sink.name, away=False)
                return True
            await self._tell()
            if await _set_within(stop, pause):
                break
        return False

    async def _commit(self, batch: Batch, stop: asyncio.Event) -> None:
        for pause in _pauses(self._settings.sink):
            ours = self._consumer.assignment()
            offsets = {
                tp: at
                for tp, at in batch.next_offsets.items()
                if tp in ours and at != self._committed.get(tp)
            }
            if not offsets:
                return
            try:
                await self._consumer.commit(offsets)
                self._committed |= offsets
                return
            except (CommitFailedError, IllegalStateError):
                # Partitions went to another member, which writes the batch again: no harm.
                log.info("partitions moved before a commit", store=self._sink.name)
                return
            except KafkaError as error:
                log.warning("not committed yet", store=self._sink.name, reason=repr(error))
            if await _set_within(stop, pause):
                return

    async def _tell(self, *, now: bool = False) -> None:
        at = time.monotonic()
        if at - self._told < _PROGRESS_SECONDS and not now:
            return
        self._told = at
        with contextlib.suppress(KafkaError, TimeoutError):  # the last figure stays
            async with asyncio.timeout(_PROGRESS_SECONDS):
                self.progress.behind = await self._behind()
        self._metrics.behind(self._sink.name, self.progress.behind)
        if self._on_progress is not None:
            self._on_progress(self.progress)

    async def _behind(self) -> int:
        """By Kafka's own word: nothing is fetched while a store is away."""
        behind = 0
        ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
        for tp, end in ends.items():
            done = self._committed.get(tp)
            if done is None:
                done = await self._consumer.committed(tp) or 0
            behind += max(0, end - done)
        return behind

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        try:
            with broker_errors(self._settings.kafka):
                await self._consumer.start()
                for topic in self._names:
                    await partitions_of(self._consumer, topic)
                self._consumer.subscribe(list(self._names))
            yield
        finally:
            await self._consumer.stop()


def topic_names(app_id: str, wanted: Sequence[str]) -> dict[str, str]:
    """What a sink calls a topic, by Kafka's name: a changelog is called by its table."""
    return {
        topics.changelog(app_id, name) if name in topics.TABLES else name: name for name in wanted
    }


def seed_records() -> list[SinkRecord]:
    """Version 0 of each tree, as if it stood on ``tree.versions`` before everything else."""
    return [
        made_record(topics.TREE_VERSIONS, 0, -1, None, tree.model_dump_json().encode())
        for tree in seed_trees().values()
    ]


def _consumer(settings: Settings, store: str) -> AIOKafkaConsumer:
    return committed_reader(
        settings.kafka,
        group_id=group_of(settings.worker.app_id, store),
        auto_offset_reset="earliest",
        session_timeout_ms=_SESSION_MS,
        max_poll_interval_ms=_LONGEST_OUTAGE_MS,
    )


def _pauses(sink: SinkSettings) -> Iterator[float]:
    """Seconds between tries: doubled each time up to the longest, half of it by chance, so that
    sinks of one store do not all come back at the same moment."""
    pause = sink.retry_first_seconds
    while True:
        yield pause * random.uniform(0.5, 1)  # noqa: S311  # nothing secret
        pause = min(2 * pause, sink.retry_longest_seconds)


async def _set_within(stop: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
    return stop.is_set()
