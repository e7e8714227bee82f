"""Rebuilds the worker's tables from the log, partition by partition.

    1. read what the changelogs hold, and replay the log to there: the new tables are beside the
       live ones, in this process, while the worker goes on
    2. start the partition's own transactional producer: from here on its worker can commit nothing
    3. read and replay what came in meanwhile, to the position where the worker was stopped
    4. what differs, and the position, in one transaction
    5. give the partition back: a worker that takes it over restores the rebuilt tables

The worker whose partition it was leaves its process, as it does whenever another one takes over,
and is started again. Should one start too early, it fences this one: then nothing of the partition
was changed (of more than 50,000 corrections, the first some 50,000 may have been made), and it is
tried again. Why so: docs/decisions/0028.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced
from pydantic import ValidationError

from agents.broker_errors import broker_errors
from agents.event_record import as_event_record
from agents.partition_reader import (
    PartitionReader,
    key_bytes,
    partition_numbers,
    partition_reader,
)
from agents.partition_tables import POSITION_KEY, position_value
from agents.topics import EVENTS, changelog
from agents.transactions import Outgoing, PartitionProducer
from agents.worker import rules
from config.seed_trees import seed_trees
from config.settings import Settings
from schemas.behavior import behavior_adapter
from schemas.errors import EditRefused, Fenced, InvalidRecord
from streams.batch import Source
from streams.decided_replay import Decided, DecidedReplay
from streams.table_difference import Correction, corrections

log = structlog.get_logger(__name__)

Progress = Callable[[int], object]
"""Called with how many events were replayed since the last call."""

Decides = Callable[[], Awaitable[Decided]]
"""Reads what has decided by now."""

_AT_ONCE = 50_000
"""Corrections in one transaction: Kafka aborts one that takes longer than a minute."""

_TRIES = 5


class TablesRebuilt(NamedTuple):
    """``events``: replayed. The rest: rows by what was wrong with them."""

    partitions: int
    events: int
    missing: int
    extra: int
    different: int


async def rebuild_tables(
    settings: Settings, decided: Decides, on_progress: Progress
) -> TablesRebuilt:
    """See above; run again, it finds nothing to do.

    Raises:
        BrokerUnavailable: nobody answers, or a topic is not there.
        EditRefused: the log does not begin at its beginning any more.
        InvalidInput: an adoption names a version or a prompt set that nobody has.
        InvalidRecord: a partition ends before what was folded of it: it was made anew.
        Fenced: workers keep taking the partition over.
    """
    partitions = await partition_numbers(settings)
    for partition in partitions:
        async with partition_reader(settings, partition) as reader:
            _refuse_shorter(partition, reader)
    found: Counter[str] = Counter()
    for partition in partitions:
        async with partition_reader(settings, partition) as reader:
            _refuse_shorter(partition, reader)
            rebuild = _PartitionRebuild(settings, partition, reader, decided, on_progress)
            await rebuild.run()
            found += rebuild.found
    kinds = (found[what] for what in TablesRebuilt._fields[1:])
    return TablesRebuilt(len(partitions), *kinds)


def _refuse_shorter(partition: int, reader: PartitionReader) -> None:
    if reader.begin:
        raise EditRefused(
            f"{EVENTS} partition {partition} begins at offset {reader.begin}: Kafka has dropped "
            "what came before (retention). What that led to stands nowhere but in the tables, so "
            "they cannot be rebuilt; `learner audit worker` says what can still be compared"
        )


class _PartitionRebuild:
    """``found``: how many events were replayed, and rows by what was wrong with them."""

    def __init__(
        self,
        settings: Settings,
        partition: int,
        reader: PartitionReader,
        decided: Decides,
        on_progress: Progress,
    ) -> None:
        self._settings = settings
        self._source = TopicPartition(EVENTS, partition)
        self._reader = reader
        source = Source(EVENTS, partition)
        nothing = Decided({}, {}, {})
        self._replay = DecidedReplay(seed_trees(), rules(settings.worker), source, nothing)
        self._decided = decided
        self._on_progress = on_progress
        self.found: Counter[str] = Counter()

    async def run(self) -> None:
        with broker_errors(self._settings.kafka):
            await self._run()

    async def _run(self) -> None:
        await self._catch_up()
        for attempt in range(1, _TRIES + 1):
            producer = PartitionProducer(
                self._settings.kafka, self._settings.worker.app_id, self._source
            )
            try:
                await producer.start()
                position = await self._catch_up()
                await self._correct(producer, position)
                return
            except ProducerFenced:
                if attempt == _TRIES:
                    raise Fenced(
                        f"partition {self._source.partition} was taken over by a worker each "
                        "time, so its tables stay as they are: stop the workers, then run this "
                        "again"
                    ) from None
                log.info("not switched yet: a worker took over", partition=self._source.partition)
            finally:
                await producer.stop()

    async def _catch_up(self) -> int:
        """Replays to where the changelogs are by now; that position."""
        _, position = await self._reader.read_changelogs()
        end = await self._reader.end()
        if position is None:
            position = _folded_up_to(self._reader)
        if position > end:
            raise InvalidRecord(
                f"{EVENTS} partition {self._source.partition} has been folded up to {position}, "
                f"but ends at {end}: it was made anew"
            )
        # After the changelogs: what decided an event was told in the transaction that folded it.
        self._replay.know(await self._decided())
        async for records in self._reader.events(position):
            for record in records:
                self._replay.take(as_event_record(record))
            self.found["events"] += len(records)
            self._on_progress(len(records))
        return position

    async def _correct(self, producer: PartitionProducer, position: int) -> None:
        todo = list(corrections(self._reader.states(), self._replay.tables.values))
        for at in range(0, len(todo), _AT_ONCE):
            some = todo[at : at + _AT_ONCE]
            await producer.commit(self._outgoing(some, position))
            self.found.update(correction.kind for correction in some)

    def _outgoing(self, some: Sequence[Correction], position: int) -> Iterator[Outgoing]:
        app_id = self._settings.worker.app_id
        for table, key, value, kind in some:
            topic = changelog(app_id, table)
            if kind == "different":
                # Stores keep, of two states that have folded as much, the one that was first:
                # so the wrong one is deleted before.
                yield Outgoing(topic, key_bytes(key), None)
            yield Outgoing(topic, key_bytes(key), value)
        yield Outgoing(changelog(app_id, "seen"), POSITION_KEY, position_value(position))


def _folded_up_to(reader: PartitionReader) -> int:
    """Without a position (its changelog is gone), as far as the states say."""
    position = 0
    for raw in reader.rows["behavior"].values():
        with suppress(ValidationError):  # it is put right with the others
            position = max(position, behavior_adapter.validate_json(raw).offset + 1)
    return position
