"""Kafka, worker processes and an oracle for each partition; all that is committed is compared."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, NoReturn
from unittest.mock import Mock, patch

from aiokafka.errors import ProducerFenced
from strategies import START, USERS

from config.seed_trees import seed_trees
from interleavings.modelled_kafka import Guards, ModelledKafka, ModelledProducer, restored
from interleavings.oracle import CHANGELOGS, Made, Oracle, effects
from interleavings.worker_process import Owned, WorkerProcess, without
from schemas.topics import DEAD_LETTERS
from streams.batch import Batch, process
from streams.decode import Record
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.tables import TABLE_NAMES, MemoryTables

PARTITIONS = 2
HOME = {user: place % PARTITIONS for place, user in enumerate(USERS)}
RECORDED_AT = START + timedelta(days=3_650)
RULES = Rules(horizon=timedelta(days=5), decide_on_every_event=True)
DOCUMENTS = seed_trees()
TREES = compile_trees(DOCUMENTS)


class Different(AssertionError):
    """What is on Kafka, or in a worker's memory, is not what one pass over the log gives."""


class CheckedWorld:
    """Two processes share the partitions; a ``frozen`` one believes that its are still its own.

    ``compacts``: whether Kafka has compacted the changelogs before each take-over. ``is_wrong``:
    whether a difference was found.
    """

    def __init__(self, guards: Guards) -> None:
        self.guards = guards
        self.kafka = ModelledKafka(PARTITIONS, guards)
        self.compacts = self.is_wrong = False
        self.frozen: list[tuple[WorkerProcess, int]] = []
        self.is_set_back = [False] * PARTITIONS
        self._loop = asyncio.new_event_loop()
        self._oracles = [Oracle(DOCUMENTS, RULES, number) for number in range(PARTITIONS)]
        self._reached = [0] * PARTITIONS
        self._counts: list[Counter[str]] = [Counter() for _ in range(PARTITIONS)]
        self._last = Batch(MemoryTables())
        self._stack = ExitStack()
        self._patch("agents.partition_owner.PartitionProducer", self._producer)
        self._patch("agents.partition_owner.restore", restored(self.kafka))
        self._patch("agents.partition_owner.log", Mock())
        self._patch("agents.partition_owner.process", self._process)
        self._processes = [self._started() for _ in range(2)]
        self.owner = [self._processes[number % 2] for number in range(PARTITIONS)]
        for number in range(PARTITIONS):
            self.owner[number].take_over(number)

    def close(self) -> None:
        for process_ in [*self._processes, *(frozen for frozen, _ in self.frozen)]:
            process_.die()
        self._stack.close()
        self._loop.close()

    def append(self, partition: int, key: bytes, value: bytes) -> None:
        number = len(self.kafka.partitions[partition].events)
        recorded_at = RECORDED_AT + timedelta(seconds=number)
        self.kafka.produce(partition, key, value, int(recorded_at.timestamp() * 1000))
        self._oracles[partition].read(Record(number, key, value, recorded_at))

    def owned(self, partition: int) -> Owned:
        return self.owner[partition].owned[partition]

    def is_behind(self, partition: int, owned: Owned) -> bool:
        return owned.reads_from < len(self.kafka.partitions[partition].events)

    def begin(self, process_: WorkerProcess, partition: int, most: int, skipped: int = 0) -> None:
        process_.begin(partition, most, skipped)
        process_.owned[partition].folded = self._last.counts

    def commit(self, process_: WorkerProcess, partition: int) -> None:
        """Raises: ProducerFenced."""
        process_.commit(partition)
        self._counts[partition] += process_.owned[partition].folded

    def finish(self, partition: int) -> None:
        self.owner[partition].finish(partition)
        self.check_now(partition)

    def freeze(self, process_: WorkerProcess) -> None:
        """It stands still; its partitions go to others."""
        self.frozen += [(process_, n) for n, owner in enumerate(self.owner) if owner is process_]
        self._replace(process_)

    def wake(self, which: int, most: int) -> None:
        """A frozen process goes on where it stood, with its commit or its next list; it dies of
        whatever comes of it."""
        process_, partition = self.frozen.pop(which % len(self.frozen))
        if partition not in process_.owned:
            return  # it died when it woke in another of its partitions
        owned = process_.owned[partition]
        try:
            if owned.batch is None and self.is_behind(partition, owned):
                self.begin(process_, partition, most)
            if owned.batch is not None:
                self.commit(process_, partition)
        except ProducerFenced:
            pass
        process_.die()

    def die(self, process_: WorkerProcess) -> None:
        process_.die()
        self._replace(process_)

    def pass_on(self, partition: int) -> None:
        """To the other process: so one that gives a partition up may get it back later."""
        if self.compacts:
            self.kafka.compact(partition, frozenset(CHANGELOGS))
        first, second = self._processes
        self.owner[partition] = second if self.owner[partition] is first else first
        self.owner[partition].take_over(partition)
        self.check_now(partition)

    def check_now(self, partition: int) -> None:
        if self.guards.position == "with":  # else they agree only in the end, if ever
            self._check(partition)

    def check_at_the_end(self, partition: int) -> None:
        """Once everything is read, and by one who came new."""
        self._reached[partition] = len(self.kafka.partitions[partition].events)
        self._check(partition)
        expected, found = self._oracles[partition].counts[-1], self._counts[partition]
        if self.is_set_back[partition]:
            # What is read again is passed over; only letters are written again.
            expected = Counter(folded=expected["folded"])
            found = Counter(folded=found["folded"])
        if found != expected:
            self._differs(f"counts of partition {partition}: {found}, one pass has {expected}")

    def _check(self, partition: int) -> None:
        log = self.kafka.partitions[partition]
        self._reached[partition] = reached = max(self._reached[partition], log.position or 0)
        expected = self._oracles[partition].after[reached]
        found = effects(log.records())
        if found.rows != expected.rows:
            self._differs(f"tables of partition {partition} at {reached}")
        made = found.made
        if self.is_set_back[partition]:
            # A bad record that is read again has its letter again: the first of each id counts.
            made = _without_letters_again(made)
        if made != expected.made:
            self._differs(f"made by partition {partition}: {_unlike(made, expected.made)}")
        if self._in_memory(partition) != expected.rows and self.owned(partition).batch is None:
            self._differs(f"the memory of partition {partition} at {reached}")

    def _differs(self, said: str) -> NoReturn:
        self.is_wrong = True
        raise Different(said)

    def _in_memory(self, partition: int) -> dict[str, bytes]:
        """What the owner folds into."""
        stores = self.owned(partition).owner._tables._stores
        return {
            f"{name}:{key.decode()}": raw
            for name in TABLE_NAMES
            for key, raw in stores[name].items()
            if HOME[key.decode().partition("|")[0]] == partition
        }

    def _replace(self, process_: WorkerProcess) -> None:
        self._processes[self._processes.index(process_)] = self._started()
        for partition, owner in enumerate(self.owner):
            if owner is process_:
                self.pass_on(partition)

    def _started(self) -> WorkerProcess:
        return WorkerProcess(self.kafka, self._loop, TREES, RULES)

    def _process(self, *arguments: Any) -> Batch:
        """The worker's own; here alone a guard is missing, and not in the oracle."""
        with ExitStack() as stack:
            for name, stand_in in without(self.guards).items():
                stack.enter_context(patch(name, stand_in))
            self._last = process(*arguments)
        return self._last

    def _producer(self, _: object, __: str, source: Any) -> ModelledProducer:
        return ModelledProducer(self.kafka, source.partition)

    def _patch(self, name: str, stand_in: Any) -> None:
        self._stack.enter_context(patch(name, stand_in))


def _without_letters_again(made: list[Made]) -> list[Made]:
    first = {record.id: record for record in reversed(made) if record.topic == DEAD_LETTERS}
    return [r for r in made if r.topic != DEAD_LETTERS or first[r.id] is r]


def _unlike(found: list[Made], expected: list[Made]) -> str:
    """What was lost, doubled or made otherwise."""
    lost = [record for record in expected if record not in found]
    more = [record for record in found if record not in expected]
    doubled = [record.id for record, times in Counter(found).items() if times > 1]
    return f"lost {lost}, more {more}, doubled {doubled}, or in another order"
