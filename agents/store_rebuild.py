"""Rebuilds a store from the topics that feed it: beside the live one, then they change places.

    1. refuse   if the store has what Kafka has no longer
    2. begin    an empty place beside; what a killed try left there is dropped
    3. fill     from the topics' beginning to where they end, while the live sink goes on
    4. switch   alone with the store: read to the very end, then the new one takes the live name
    5. go on    where the live sink could not be kept out: what it wrote meanwhile, written again

Nothing is lost: whatever the live sink had written into the old place by the switch stood on the
topics by then, so 4 (or 5, see `KeptOut`) reads it. Nothing counts twice, since a sink's rows are
kept by id. Positions are this reader's own; the live sink's group is not touched, and it goes on
from where it was, into the new place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import GroupIdNotFound, for_code

from agents.broker_errors import broker_errors
from agents.event_record import recorded_at
from agents.kafka_client import committed_reader
from agents.refused_records import write_apart
from agents.sink import SinkProgress, group_of, seed_records, topic_names
from agents.sink_batch import gather
from agents.sink_letters import SinkLetters
from agents.topic_admin import admin_client
from agents.topic_reader import partitions_of
from agents.topics import PROMPT_SETS, TABLES, TREE_VERSIONS
from agents.worker import rules
from config.settings import Settings
from schemas.errors import BrokerUnavailable, EditRefused, StoreUnavailable
from sinks.beside import Beside, KeptOut
from sinks.contract import Sink, SinkRecord

log = structlog.get_logger(__name__)

_KEPT_WHOLE = {*TABLES, TREE_VERSIONS, PROMPT_SETS}
"""Compacted: what was ever told by them and still counts is there."""

_TRIES = 8
_PAUSE_SECONDS = 0.5
_FIRST_RECORD_MS = 500
_LAST_SECONDS = 300.0


class Asked(NamedTuple):
    """``even_if_shorter``: though the new store will have less. ``wait_seconds``: for the live
    sink to be stopped, where it must be."""

    even_if_shorter: bool = False
    wait_seconds: float = 600.0


class Told(NamedTuple):
    """Whom to tell how far it is, and which step is under way."""

    progress: Callable[[SinkProgress], object]
    step: Callable[[str], object]


class Shorter(NamedTuple):
    """A topic that has lost its beginning; ``since``: when Kafka took the first that is left."""

    topic: str
    since: datetime


class Rebuilt(NamedTuple):
    """``written``, ``refused``: records. ``old``: the name under which the old one is kept."""

    store: str
    written: int
    refused: int
    old: str


async def rebuild_store(
    settings: Settings, beside: Beside, live: Sink, asked: Asked, told: Told
) -> Rebuilt:
    """See above; ``live``: a sink of the live store. Until the switch that stays as it is, however
    this ends.

    Raises:
        EditRefused: the store would lose data, somebody else rebuilds it, or its sink runs.
        BrokerUnavailable, StoreUnavailable: somebody does not answer.
    """
    filling = _Filling(settings, live, told.progress)
    try:
        async with filling.reading():
            if not asked.even_if_shorter:
                refuse_shorter(beside.name, await beside.oldest(), await filling.shorter())
            told.step("filling the new one from the topics' beginning")
            sink = await beside.begin()
            try:
                await filling.begin(sink)
                await filling.catch_up(sink)
                if beside.kept_out is KeptOut.STOPPED:
                    told.step(f"waiting until `learner sink {beside.name}` is stopped")
                    await _until_stopped(settings, beside.name, asked.wait_seconds)
                told.step("switching")
                async with beside.alone():
                    await filling.read_the_last(sink)
                    old = await beside.switch()
            finally:
                await sink.close()
            if beside.kept_out is KeptOut.ANY_ORDER:
                await live.setup()
                await filling.read_on(live)
            if beside.kept_out is KeptOut.STOPPED and await _members(settings, beside.name):
                raise EditRefused(
                    f"`learner sink {beside.name}` was started during the switch, so the new "
                    "store may lack what it wrote then: stop it, and rebuild once more"
                )
    finally:
        await live.close()
        await beside.close()
    progress = filling.progress
    return Rebuilt(beside.name, progress.written, progress.refused, old)


def refuse_shorter(store: str, oldest: datetime | None, shorter: Sequence[Shorter]) -> None:
    """Raises: EditRefused, if the store has data from before what Kafka still has of it."""
    gone = [short for short in shorter if oldest is not None and oldest < short.since]
    if not gone:
        return
    last = max(gone, key=lambda short: short.since)
    raise EditRefused(
        f"{store} has data from {oldest:%Y-%m-%d %H:%M} UTC on, but {last.topic} goes back to "
        f"{last.since:%Y-%m-%d %H:%M} UTC only (Kafka's retention): rebuilt, it would have data "
        "from then on. --even-if-shorter rebuilds it all the same"
    )


class _Filling:
    """Reads the topics of a sink from their beginning, once, into one sink after the other."""

    def __init__(
        self, settings: Settings, live: Sink, on_progress: Callable[[SinkProgress], object]
    ) -> None:
        self._settings = settings
        self._names = topic_names(settings.worker.app_id, live.topics)
        self._rules = rules(settings.worker)
        self._letters = SinkLetters(settings, live.name)
        # Never jump: a position out of range is an error, not "latest".
        self._consumer = committed_reader(settings.kafka, auto_offset_reset="none")
        self._on_progress = on_progress
        self.progress = SinkProgress(live.name)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Connected, and at the topics' beginnings."""
        consumer = self._consumer
        try:
            with broker_errors(self._settings.kafka):
                await consumer.start()
                partitions = [
                    tp for topic in self._names for tp in await partitions_of(consumer, topic)
                ]
            consumer.assign(partitions)
            await self._to_beginning()
            async with self._letters:
                yield
        finally:
            await consumer.stop()

    async def _to_beginning(self) -> None:
        begins = await self._consumer.beginning_offsets(list(self._consumer.assignment()))
        for tp, begin in begins.items():
            self._consumer.seek(tp, begin)

    async def shorter(self) -> list[Shorter]:
        """Topics that have lost their beginning, once for each partition that has."""
        found = []
        begins = await self._consumer.beginning_offsets(list(self._consumer.assignment()))
        for tp, begin in begins.items():
            if begin and self._names[tp.topic] not in _KEPT_WHOLE:
                found.append(Shorter(tp.topic, await self._first_at(tp, begin)))
        return found

    async def begin(self, sink: Sink) -> None:
        """Makes what the sink needs; positions go to the beginning."""
        await sink.setup()
        if TREE_VERSIONS in self._names.values():
            await sink.write(seed_records())
        await self._to_beginning()

    async def catch_up(self, sink: Sink) -> None:
        """Until what comes in while the last of it is read is a batch at most, or gets no less."""
        last = 0
        while True:
            before = self.progress.written
            await self.read_on(sink)
            came = self.progress.written - before
            if came <= self._settings.sink.max_records or (last and came > last / 2):
                return
            last = came

    async def read_on(self, sink: Sink) -> None:
        """To where the topics end now."""
        ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
        never = asyncio.Event()
        while behind := await self._behind(ends):
            self.progress.behind = behind
            self._on_progress(self.progress)
            batch = await gather(
                self._consumer, self._names, self._rules, self._settings.sink, never
            )
            for record, reason in batch.unreadable:
                await self._letters.unreadable(record, reason)
                self.progress.refused += 1
            if batch.records:
                await self._write(sink, batch.records)
        self.progress.behind = 0
        self._on_progress(self.progress)

    async def read_the_last(self, sink: Sink) -> None:
        """The same within a time, while others wait.

        Raises:
            BrokerUnavailable: the time is over.
        """
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                await self.read_on(sink)
        except TimeoutError:
            raise BrokerUnavailable(
                f"{self.progress.store} was held for {_LAST_SECONDS:.0f} s and not all of what "
                "Kafka has was read: nothing was switched, run it again"
            ) from None

    async def _behind(self, ends: dict[TopicPartition, int]) -> int:
        positions = {tp: await self._consumer.position(tp) for tp in ends}
        return sum(max(0, end - positions[tp]) for tp, end in ends.items())

    async def _write(self, sink: Sink, records: Sequence[SinkRecord]) -> None:
        async def write(part: Sequence[SinkRecord]) -> bool:
            await self._write_once(sink, part)
            self.progress.written += len(part)
            return True

        async def refused(record: SinkRecord, reason: str) -> None:
            # The same letter as the live sink's, by the same id.
            await self._letters.refused(record, reason)
            self.progress.refused += 1

        await write_apart(records, write, refused)

    async def _write_once(self, sink: Sink, part: Sequence[SinkRecord]) -> None:
        """Again a few times if the store is away: a long rebuild need not end by that."""
        for attempt in range(_TRIES):
            try:
                if self.progress.error:
                    await sink.setup()
                await sink.write(part)
                self.progress.error = ""
                return
            except StoreUnavailable as error:
                if attempt == _TRIES - 1:
                    raise
                self.progress.error = str(error)
                self._on_progress(self.progress)
                log.warning("store is away", store=self.progress.store, reason=str(error))
                await asyncio.sleep(_PAUSE_SECONDS * 2**attempt)

    async def _first_at(self, tp: TopicPartition, begin: int) -> datetime:
        """When Kafka took the first record that is left; now, if none is."""
        self._consumer.seek(tp, begin)
        end = (await self._consumer.end_offsets([tp]))[tp]
        while await self._consumer.position(tp) < end:
            fetched = await self._consumer.getmany(tp, timeout_ms=_FIRST_RECORD_MS, max_records=1)
            for record in fetched.get(tp, ()):
                return recorded_at(record.timestamp)
        return datetime.now(UTC)


async def _until_stopped(settings: Settings, store: str, seconds: float) -> None:
    limit = time.monotonic() + seconds
    while await _members(settings, store):
        if time.monotonic() >= limit:
            raise EditRefused(
                f"`learner sink {store}` still runs after {seconds:g} s: {store} cannot keep it "
                "out during the switch, so stop it, run this again, then start it. Nothing was "
                "switched"
            )
        await asyncio.sleep(_PAUSE_SECONDS)


async def _members(settings: Settings, store: str) -> int:
    """How many sinks of the store run."""
    async with admin_client(settings.kafka) as admin:
        (answer,) = await admin.describe_consumer_groups([group_of(settings.worker.app_id, store)])
    code, _, _, _, _, members, *_ = answer.groups[0]
    if code and for_code(code) is not GroupIdNotFound:  # nobody has ever joined it
        raise for_code(code)(f"the group of {store}'s sink")
    return len(members)
