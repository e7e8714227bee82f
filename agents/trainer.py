"""The trainer: learns from ``tree.examples``, publishes better versions on ``tree.versions``.

One plain consumer without a group. Where it stands is in its snapshot, and in one transaction with
the versions it made; so after any end it goes on with exactly the example that is next. Only one
trainer learns: a later one fences the one before, which ends with an error at its next snapshot.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from pydantic import ValidationError

from agents.broker_errors import broker_errors
from agents.kafka_client import committed_reader
from agents.read_position import read_on_from
from agents.topic_reader import partitions_of
from agents.topics import EXAMPLES, SNAPSHOTS
from agents.trainer_log import TrainerLog
from agents.tree_versions import TreeVersions
from config.settings import Settings, TrainerSettings
from schemas.errors import BrokerUnavailable, InvalidRecord
from schemas.example import example_adapter
from schemas.fields import TREE_IDS, TreeId
from schemas.snapshot import TrainerSnapshot
from schemas.tree import TreeDocument
from streams.learning import Learning, OnlineTree, TreeMetrics

log = structlog.get_logger(__name__)

_IF_MADE_ANEW = f"Delete and create {SNAPSHOTS} too, to learn from the beginning"

_POLL_MS = 200
_POLL_RECORDS = 100
"""Few, since learning them keeps the event loop (some 0.1 ms each)."""
_PROGRESS_SECONDS = 1.0
_GONE_SECONDS = 5.0


class TrainerProgress(NamedTuple):
    """``examples``, ``refused``, ``versions``: learned, not learnable, published since the start.

    A version counts once it is in force: not if somebody else was first with its number.
    ``behind``: records on ``tree.examples`` not yet read. ``metrics`` span all starts.
    """

    examples: int
    refused: int
    versions: int
    behind: int
    metrics: dict[TreeId, TreeMetrics]


async def run_trainer(
    settings: Settings,
    stop: asyncio.Event,
    on_progress: Callable[[TrainerProgress], object] | None = None,
) -> TrainerProgress:
    """Learns until ``stop`` is set, then writes a last snapshot; ``on_progress`` once a second.

    Raises:
        Fenced: a later trainer has taken over.
        BrokerUnavailable: Kafka or one of the topics is not there.
        InvalidRecord: the snapshot cannot be used: the text says what to do.
    """
    trainer = Trainer(settings)
    try:
        await trainer.start()
        told = 0.0
        while not stop.is_set():
            await trainer.learn_some()
            if on_progress is not None and time.monotonic() - told >= _PROGRESS_SECONDS:
                on_progress(await trainer.progress())
                told = time.monotonic()
        await trainer.keep()
        done = await trainer.progress()
    finally:
        await trainer.close()
    if on_progress is not None:
        on_progress(done)
    return done


class Trainer:
    """`start`, then `learn_some` again and again, `keep` at a graceful end, `close` at any."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._learning = learning(settings.trainer)
        self._log = TrainerLog(settings)
        self._versions = TreeVersions(settings.kafka, self._adopt)
        self._consumer: AIOKafkaConsumer = committed_reader(
            settings.kafka, auto_offset_reset="earliest", max_poll_records=_POLL_RECORDS
        )
        self._trees: dict[TreeId, OnlineTree] = {}
        self._offsets: dict[int, int] = {}
        self._awaited: TreeDocument | None = None
        self._since_snapshot = 0
        self._last_there = time.monotonic()
        self._examples = self._refused = self._version_count = 0

    async def start(self) -> None:
        """Fence the trainer before, read versions, then the snapshot, seek to its offsets.

        In this order nothing can be written behind what has been read.
        """
        await self._log.fence()
        await self._versions.start()
        snapshot = await self._log.newest()
        self._trees = {tree_id: self._tree(tree_id, snapshot) for tree_id in TREE_IDS}
        with broker_errors(self._settings.kafka):
            await self._consumer.start()
            await self._seek(snapshot)
        log.info("trainer started", resumed=snapshot is not None, offsets=self._offsets)

    async def learn_some(self) -> None:
        """One fetch: learn each example, then publish what came of it."""
        with broker_errors(self._settings.kafka):
            fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
        self._leave_if_gone()
        for records in fetched.values():
            for record in records:
                document = self._learn(record)
                self._offsets[record.partition] = record.offset + 1
                self._since_snapshot += 1
                if document is not None:
                    await self.keep(document)
        if self._since_snapshot >= self._settings.trainer.snapshot_examples:
            await self.keep()

    async def keep(self, document: TreeDocument | None = None) -> None:
        """Writes a snapshot, with a version if one was made, if anything was read since the last.

        A version is learned on from only when it has come back from the log: if somebody was first
        with its number, theirs is in force, and what was learned next must not replace it unseen.
        """
        if not self._since_snapshot:
            return
        snapshot = TrainerSnapshot(
            {tree_id: tree.snapshot() for tree_id, tree in self._trees.items()},
            dict(self._offsets),
        )
        self._since_snapshot = 0
        self._awaited = document
        offset = await self._log.write(() if document is None else (document,), snapshot)
        if document is not None and offset is not None:
            await self._confirm(document, offset)

    async def _confirm(self, document: TreeDocument, offset: int) -> None:
        with broker_errors(self._settings.kafka):
            async with asyncio.timeout(self._settings.worker.transaction_wait_seconds):
                await self._versions.reached(offset)
        about = {"tree_id": document.tree_id, "version": document.version}
        if self._awaited is None:
            self._version_count += 1
            log.info("version published", **about, reason=document.reason)
        else:
            log.warning("version not in force: another was first", **about)

    async def progress(self) -> TrainerProgress:
        behind = 0
        for tp in self._consumer.assignment():
            behind += (self._consumer.highwater(tp) or 0) - await self._consumer.position(tp)
        return TrainerProgress(
            self._examples,
            self._refused,
            self._version_count,
            max(0, behind),
            {tree_id: tree.metrics for tree_id, tree in self._trees.items()},
        )

    async def close(self) -> None:
        """Lets go of Kafka; writes nothing."""
        await self._consumer.stop()
        await self._versions.stop()
        await self._log.stop()

    def _leave_if_gone(self) -> None:
        """Otherwise aiokafka asks for a deleted topic for ever."""
        if self._consumer.partitions_for_topic(EXAMPLES):
            self._last_there = time.monotonic()
        elif time.monotonic() - self._last_there > _GONE_SECONDS:
            raise BrokerUnavailable(
                f"topic {EXAMPLES} is gone: run `learner topics create`, and start again"
            )

    def _learn(self, record: ConsumerRecord) -> TreeDocument | None:
        try:
            example = example_adapter.validate_json(record.value or b"")
            document = self._trees[example.tree_id].learn(example)
        except (ValidationError, InvalidRecord) as error:
            self._refused += 1
            log.warning(
                "example refused",
                partition=record.partition,
                offset=record.offset,
                reason=_first_line(error),
            )
            return None
        self._examples += 1
        return document

    def _adopt(self, document: TreeDocument) -> None:
        if document == self._awaited:
            self._awaited = None
            return
        tree = self._trees.get(document.tree_id)
        if tree is not None and tree.adopt(document):
            log.info(
                "version adopted",
                tree_id=document.tree_id,
                version=document.version,
                author=document.author,
            )

    def _tree(self, tree_id: TreeId, snapshot: TrainerSnapshot | None) -> OnlineTree:
        champion = self._versions.current(tree_id)
        if snapshot is None or tree_id not in snapshot.trees:
            return OnlineTree(champion, self._learning)
        return OnlineTree.resume(snapshot.trees[tree_id], champion, self._learning)

    async def _seek(self, snapshot: TrainerSnapshot | None) -> None:
        partitions = await partitions_of(self._consumer, EXAMPLES)
        self._consumer.assign(partitions)
        begins = await self._consumer.beginning_offsets(partitions)
        ends = await self._consumer.end_offsets(partitions)
        known = snapshot.offsets if snapshot is not None else {}
        for tp in partitions:
            offset = read_on_from(tp, known.get(tp.partition), begins[tp], ends[tp], _IF_MADE_ANEW)
            self._offsets[tp.partition] = offset
            self._consumer.seek(tp, offset)


def learning(trainer: TrainerSettings) -> Learning:
    """The settings as the pure part takes them."""
    return Learning(
        grace_period=trainer.grace_period,
        delta=trainer.delta,
        tau=trainer.tau,
        max_depth=trainer.max_depth,
        seed=trainer.seed,
        min_examples=trainer.min_examples,
        fading=trainer.fading,
        margin=trainer.margin,
    )


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
