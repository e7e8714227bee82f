"""A worker's process around the real `agents.partition_owner.PartitionOwner`, in a modelled world.

A batch can be held anywhere: before its commit, after the commit and before the memory knows, and
the process can die or freeze there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from copy import copy
from typing import Any

from aiokafka import TopicPartition

from agents.faust_mends import RecordList
from agents.partition_owner import PartitionOwner
from agents.partition_tables import PartitionTables
from config.settings import Settings
from interleavings.modelled_kafka import Event, Guards, ModelledKafka, ModelledProducer
from schemas.behavior import Behavior
from schemas.topics import EVENTS
from streams import seen
from streams.rules import Rules
from streams.seen import Pages
from streams.step import Trees

SETTINGS = Settings(_env_file=None)


class Owned:
    """A partition in a process's hands: its owner, its producer, and the batch under way.

    ``folded``: what became of the batch's records.
    """

    def __init__(self, owner: PartitionOwner, producer: ModelledProducer) -> None:
        self.owner, self.producer = owner, producer
        self.batch: asyncio.Task[Any] | None = None
        self.reads_from = 0
        self.folded: Counter[str] = Counter()


class WorkerProcess:
    """One process and the partitions in its hands."""

    def __init__(
        self,
        kafka: ModelledKafka,
        loop: asyncio.AbstractEventLoop,
        trees: Trees,
        rules: Rules,
    ) -> None:
        self._kafka, self._loop = kafka, loop
        self._trees, self._rules = trees, rules
        self.owned: dict[int, Owned] = {}

    def take_over(self, partition: int) -> None:
        """Fences, restores, and reads on from where the changelog says."""
        owner = PartitionOwner(
            SETTINGS,
            TopicPartition(EVENTS, partition),
            lambda: self._trees,
            self._rules,
        )
        producer: Any = owner._producer
        self._loop.run_until_complete(owner.take_over())
        self.owned[partition] = Owned(owner, producer)
        self.read_from(partition, owner.position or 0)

    def read_from(self, partition: int, offset: int) -> None:
        owned = self.owned[partition]
        owned.reads_from = offset
        owned.owner.expect(offset)

    def give_up(self, partition: int) -> None:
        """In an orderly way; the batch in hand is through."""
        owned = self.owned.pop(partition)
        assert owned.batch is None
        self._loop.run_until_complete(owned.owner.give_up())

    def begin(self, partition: int, most: int, skipped: int = 0) -> None:
        """Reads a list and folds it, up to the commit.

        Raises:
            SkippedRecords: the list does not begin where the last one ended.
        """
        owned = self.owned[partition]
        start = owned.reads_from + skipped
        records: list[Event] = self._kafka.partitions[partition].events[start : start + most]
        end = start + len(records)
        owned.reads_from = end
        if not self._kafka.guards.gaps:
            owned.owner._next = None
        fetched = RecordList(start, end, records, 0)  # type: ignore[arg-type]
        owned.batch = self._loop.create_task(owned.owner.handle([fetched]))
        self._run()
        if owned.batch.done():
            owned.batch.result()

    def commit(self, partition: int) -> None:
        """The broker takes the batch. Raises: ProducerFenced."""
        self.owned[partition].producer.commit_now()

    def finish(self, partition: int) -> None:
        """The worker hears that the batch was taken. Raises: ProducerFenced."""
        owned = self.owned[partition]
        assert owned.batch is not None
        owned.producer.answer()
        self._run()
        owned.batch.result()
        owned.batch = None

    def die(self) -> None:
        """Whatever was under way is gone."""
        for owned in self.owned.values():
            if owned.batch is not None:
                owned.batch.cancel()
        self._run()
        self.owned.clear()

    def _run(self) -> None:
        """Until everything waits."""
        self._loop.run_until_complete(_a_few_turns())


async def _a_few_turns() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


def without(guards: Guards) -> dict[str, Any]:
    """What stands in for the code that is a guard, by the name under which it is found."""
    found: dict[str, Any] = {}
    if not guards.repeats:
        found["streams.seen.find"] = _find_never_seen
    if not guards.offsets:
        found["agents.partition_tables.PartitionTables.behavior"] = _behavior_without_offset
    return found


def _find_never_seen(
    pages: Pages, user_id: str, day: int, token: bytes, real: Any = seen.find
) -> tuple[int, bytes]:
    place: tuple[int, bytes] | None = real(pages, user_id, day, token)
    return place or (0, pages(seen.page_key(user_id, day, 0)) or b"")


def _behavior_without_offset(tables: PartitionTables, key: str) -> Behavior | None:
    behavior = tables._get("behavior", key, Behavior)
    if behavior is not None:
        behavior = copy(behavior)
        behavior.offset = -1
    return behavior
