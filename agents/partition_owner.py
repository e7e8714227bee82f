"""What a worker does for one source partition: take it over, fold its lists, commit each."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import structlog
from aiokafka import TopicPartition

from agents import topics
from agents.event_record import as_event_record
from agents.faust_mends import RecordList
from agents.partition_tables import (
    POSITION_KEY,
    Encoded,
    OwnedTables,
    PartitionTables,
    encoded,
    position_value,
)
from agents.restore import DoesNotGoOn, restore
from agents.transactions import Outgoing, PartitionProducer
from config.settings import Settings
from schemas.adoption import TreeAdoption
from schemas.contract import encode
from schemas.errors import StateInUse
from schemas.fields import TreeId
from streams.batch import Batch, Source, process
from streams.rules import Rules
from streams.step import Trees
from streams.tables import TABLE_NAMES

log = structlog.get_logger(__name__)

_LET_GO_SECONDS = 10.0
"""Within which the owner before, in another process on the same folder, has closed the state."""
_LOOK_AGAIN_SECONDS = 0.1


class SkippedRecords(RuntimeError):
    """Our own reading left records out: the state would miss them for good, so we stop."""


class Handled(NamedTuple):
    """A batch that is committed; ``seconds`` it took, of them ``transaction_seconds`` Kafka."""

    batch: Batch
    seconds: float
    transaction_seconds: float


class PartitionOwner:
    """One partition of ``learner.events``, from taking it over to giving it up.

    ``trees`` is asked before each list, so a new version is picked up between two lists.
    ``counts`` adds up what happened to the records (see `streams.batch.Batch`).
    """

    def __init__(
        self,
        settings: Settings,
        source: TopicPartition,
        trees: Callable[[], Trees],
        rules: Rules,
    ) -> None:
        self._settings = settings
        self._source = source
        self._trees = trees
        self._rules = rules
        self._producer = PartitionProducer(settings.kafka, settings.worker.app_id, source)
        self._changelogs = {
            topics.changelog(settings.worker.app_id, name): name for name in TABLE_NAMES
        }
        self._changelog_of = {name: topic for topic, name in self._changelogs.items()}
        self._tables = self._new_tables()
        self._next: int | None = None
        self._adopted: dict[TreeId, int] | None = None
        self.restored = 0
        self.counts: Counter[str] = Counter()

    @property
    def position(self) -> int | None:
        """The offset up to which everything is folded and committed; ``None``: nothing was yet."""
        return self._tables.position

    async def take_over(self) -> None:
        """Fences the owner before, then restores what it had committed.

        Raises:
            StateInUse, StoreUnavailable: the state folder cannot be used.
        """
        await self._producer.start()
        try:
            await self._restore(await self._open())
        except DoesNotGoOn:
            self._tables.begin_anew()
            await self._restore({})

    async def give_up(self) -> None:
        """Closes the producer and lets the partition's state go."""
        await self._producer.stop()
        self._tables.close()

    async def _restore(self, reached: Mapping[str, int]) -> None:
        self.restored = await restore(
            self._settings.kafka,
            list(self._changelogs),
            self._source.partition,
            lambda topic, *record: self._tables.restore(self._changelogs[topic], *record),
            reached,
        )
        self._tables.restored()

    def _new_tables(self) -> OwnedTables:
        worker = self._settings.worker
        if worker.state_folder is None:
            return PartitionTables()
        from agents.disk_tables import DiskTables  # noqa: PLC0415  # RocksDB is an extra

        folder = worker.state_folder / worker.app_id / str(self._source.partition)
        return DiskTables(folder, self._changelogs, worker.decoded_values)

    async def _belongs_to(self) -> str | None:
        """What state on disk must come from; in memory nothing was there before."""
        if self._settings.worker.state_folder is None:
            return None
        ids = await self._producer.topic_ids(self._changelogs)
        if len(ids) < len(self._changelogs):
            return None
        return f"{sorted(ids.items())}, partition {self._source.partition}"

    async def _open(self) -> Mapping[str, int]:
        belongs_to = await self._belongs_to()
        ends = time.monotonic() + _LET_GO_SECONDS
        while True:
            try:
                return self._tables.open(belongs_to)
            except StateInUse:
                if time.monotonic() > ends:
                    raise
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    def expect(self, offset: int) -> None:
        """Says where reading (re)starts; lists must follow each other from there."""
        self._next = self._tables.position = offset

    async def handle(self, lists: list[RecordList]) -> Handled:
        """Folds the lists as one batch and commits it; state changes only once Kafka has it.

        Raises:
            SkippedRecords: if the lists do not begin where the last ones ended.
            aiokafka.errors.KafkaError, TimeoutError: the batch may or may not be committed; the
                process has to be left, since only the next owner can tell.
        """
        began = time.monotonic()
        for fetched in lists:
            if self._next is not None and fetched.start > self._next:
                raise SkippedRecords(
                    f"{self._source.topic}/{self._source.partition}: read up to {self._next}, then "
                    f"from {fetched.start}"
                )
            self._next = fetched.end
        records = [as_event_record(r) for fetched in lists for r in fetched.records]
        source = Source(self._source.topic, self._source.partition)
        trees = self._trees()
        batch = process(records, self._tables, trees, self._rules, source)
        changed = encoded(batch.tables.changed)
        adoption = self._adoption(batch, trees)
        sent = time.monotonic()
        reached = await asyncio.wait_for(
            self._producer.commit(self._outgoing(batch, changed, adoption, lists[-1].end)),
            self._settings.worker.transaction_wait_seconds,
        )
        self._tables.apply(changed, lists[-1].end, reached)
        if adoption is not None:
            self._adopted = adoption.versions
        self.counts += batch.counts
        done = time.monotonic()
        if batch.counts["replayed"]:
            log.warning(
                "records stand at offsets that were folded before, and were passed over: was "
                "learner.events made anew without the changelogs, or the group set back?",
                partition=self._source.partition,
                records=batch.counts["replayed"],
            )
        return Handled(batch, done - began, done - sent)

    def _adoption(self, batch: Batch, trees: Trees) -> TreeAdoption | None:
        """What to tell if this batch was decided by other versions than the one before, or is the
        first since the partition was taken over."""
        versions = {tree_id: tree.document.version for tree_id, tree in trees.items()}
        if batch.first_folded is None or versions == self._adopted:
            return None
        return TreeAdoption(
            self._source.partition, batch.first_folded, versions, self._rules.prompts.version
        )

    def _outgoing(
        self, batch: Batch, changed: Encoded, adoption: TreeAdoption | None, position: int
    ) -> Iterator[Outgoing]:
        if adoption is not None and self._adopted is None:
            # Beside the first decisions by it, so that none is ever there without its set.
            prompts = self._rules.prompts.set
            yield Outgoing(topics.PROMPT_SETS, prompts.version.encode(), encode(prompts), 0)
        if adoption is not None:
            partition = str(adoption.partition).encode()
            yield Outgoing(topics.ADOPTIONS, partition, encode(adoption))
        for decision in batch.decisions:
            yield Outgoing(topics.DECISIONS, decision.user_id.encode(), encode(decision))
        for message in batch.chat:
            yield Outgoing(topics.CHAT, message.user_id.encode(), encode(message))
        for example in batch.examples:
            yield Outgoing(topics.EXAMPLES, example.user_id.encode(), encode(example))
        for letter in batch.dead_letters:
            letter_id = letter.dead_letter_id.encode()
            yield Outgoing(topics.DEAD_LETTERS, letter_id, letter.model_dump_json().encode())
        for table, changes in changed.items():
            topic = self._changelog_of[table]
            for key, (raw, _) in changes.items():
                yield Outgoing(topic, key.encode(), raw)
        yield Outgoing(self._changelog_of["seen"], POSITION_KEY, position_value(position))
