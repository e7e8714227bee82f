"""What a worker relies on Kafka for, in memory: an event log, transactions, fencing, compaction.

One transaction is one entry of the log, so `read_committed` is what stands there. What Kafka
guarantees is a field of `Guards`; taking one out shows what would happen without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka.errors import ProducerFenced

from agents.partition_tables import POSITION_KEY
from agents.restore import Apply
from agents.transactions import Outgoing


@dataclass(frozen=True)
class Guards:
    """Which of the guards are there: the worker's, and those it has from Kafka.

    ``fence``: a new owner's producer ends the old one's. ``position``: where the reading position
    is written, ``with`` the batch, or in a step of its own ``before`` or ``after`` it.
    ``restore_to_end``: the changelogs are read up to the end as it is after the fence.
    ``repeats``: ids that were seen are known. ``offsets``: an offset that a state holds is passed
    over. ``gaps``: a list that does not begin where the last one ended is refused.
    """

    fence: bool = True
    position: str = "with"
    restore_to_end: bool = True
    repeats: bool = True
    offsets: bool = True
    gaps: bool = True


class Event(NamedTuple):
    """A record of ``learner.events``, as much of a ``ConsumerRecord`` as is read of it."""

    offset: int
    key: bytes
    value: bytes
    timestamp: int


@dataclass
class PartitionLog:
    """A partition of every topic. ``transactions``: what was committed, each with its records;
    ``looked_at``: how many there were when the next owner looked, before its fence."""

    events: list[Event] = field(default_factory=list)
    transactions: list[list[Outgoing]] = field(default_factory=list)
    epoch: int = 0
    looked_at: int | None = None

    @property
    def position(self) -> int | None:
        """Where the last committed batch says to read on."""
        found = None
        for record in self.records():
            if record.key == POSITION_KEY:
                found = int(record.value or b"")
        return found

    def records(self) -> Iterable[Outgoing]:
        return (record for transaction in self.transactions for record in transaction)


class ModelledKafka:
    """Some partitions of all topics."""

    def __init__(self, partitions: int, guards: Guards) -> None:
        self.partitions = [PartitionLog() for _ in range(partitions)]
        self.guards = guards

    def produce(self, partition: int, key: bytes, value: bytes, timestamp: int) -> None:
        log = self.partitions[partition]
        log.events.append(Event(len(log.events), key, value, timestamp))

    def look(self, partition: int) -> None:
        """Somebody asks where the partition ends, before the fence."""
        log = self.partitions[partition]
        log.looked_at = len(log.transactions)

    def fence(self, partition: int) -> int:
        """A new producer of the partition's transactional id; its epoch."""
        if self.partitions[partition].looked_at is None:
            self.look(partition)
        self.partitions[partition].epoch += 1
        return self.partitions[partition].epoch

    def commit(self, partition: int, epoch: int, records: list[Outgoing]) -> None:
        """Raises: ProducerFenced, if a later producer has come."""
        log = self.partitions[partition]
        if self.guards.fence and epoch != log.epoch:
            raise ProducerFenced
        log.transactions.append(records)

    def compact(self, partition: int, tables: frozenset[str]) -> None:
        """Of each key of the changelogs only the last record stays, and no tombstone."""
        log = self.partitions[partition]
        last = {(r.topic, r.key): r for r in log.records() if r.topic in tables}
        log.transactions = [
            [
                record
                for record in transaction
                if record.topic not in tables
                or (last[record.topic, record.key] is record and record.value is not None)
            ]
            for transaction in log.transactions
        ]


class ModelledProducer:
    """In place of ``agents.transactions.PartitionProducer``: a commit waits until it is let go.

    ``arrived``: whether the batch's records have reached the broker, and what came of it.
    """

    def __init__(self, kafka: ModelledKafka, partition: int) -> None:
        self._kafka, self._partition = kafka, partition
        self._epoch = 0
        self._records: list[Outgoing] | None = None
        self._let_go: asyncio.Future[None] | None = None

    @property
    def waits(self) -> bool:
        """Whether a batch stands before its commit."""
        return self._records is not None

    async def start(self) -> None:
        self._epoch = self._kafka.fence(self._partition)

    async def stop(self) -> None:
        """Nothing is open but in memory."""

    async def topic_ids(self, _: object) -> dict[str, Any]:
        return {}

    async def commit(self, outgoing: Iterable[Outgoing]) -> dict[str, int]:
        self._records = list(outgoing)
        self._let_go = asyncio.get_running_loop().create_future()
        if self._kafka.guards.position == "before":
            self._arrive([r for r in self._records if r.key == POSITION_KEY])
        await self._let_go
        return {}

    def commit_now(self) -> None:
        """The broker takes the waiting batch; the worker does not know yet.

        Raises: ProducerFenced.
        """
        assert self._records is not None
        records, self._records = self._records, None
        apart = self._kafka.guards.position != "with"
        self._arrive([r for r in records if not (apart and r.key == POSITION_KEY)])
        self._position = [r for r in records if r.key == POSITION_KEY]

    def answer(self, error: BaseException | None = None) -> None:
        """The worker hears of it, and goes on; or of the error."""
        assert self._let_go is not None
        if error is not None:
            self._let_go.set_exception(error)
            return
        if self._kafka.guards.position == "after":
            self._arrive(self._position)
        self._let_go.set_result(None)

    def _arrive(self, records: list[Outgoing]) -> None:
        self._kafka.commit(self._partition, self._epoch, records)


def restored(kafka: ModelledKafka) -> Any:
    """In place of ``agents.restore.restore``."""

    async def restore(
        kafka_: object, topics: list[str], partition: int, apply: Apply, *reached: object
    ) -> int:
        log = kafka.partitions[partition]
        end = None if kafka.guards.restore_to_end else log.looked_at
        log.looked_at = None
        records = [r for made in log.transactions[:end] for r in made if r.topic in topics]
        for offset, record in enumerate(records):
            apply(record.topic, record.key, record.value, offset)
        return len(records)

    return restore
