"""Follows ``tree.versions``: which version of each tree is in force."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from agents.broker_errors import broker_errors
from agents.kafka_client import committed_reader
from agents.topic_reader import partitions_of, read_to_end
from agents.topics import TREE_VERSIONS
from config.seed_trees import seed_trees
from config.settings import KafkaSettings
from schemas.fields import TreeId
from schemas.tree import TreeDocument

log = structlog.get_logger(__name__)

_POLL_MS = 500
_PAUSE_SECONDS = 1.0


class TreeVersions:
    """The highest version of each tree, from version 0 in ``config/`` on; of two the first.

    ``on_change`` gets each version that comes into force, in the event loop, between two awaits of
    the reader: at the start once for each tree that has one on the topic. A record that is no tree,
    or not a higher version, is logged and left.
    """

    def __init__(
        self, kafka: KafkaSettings, on_change: Callable[[TreeDocument], object] | None = None
    ) -> None:
        self._kafka = kafka
        self._on_change = on_change
        self._current: dict[TreeId, TreeDocument] = dict(seed_trees())
        # A position that is gone (compaction, deletion) goes to what is left, never past it.
        self._consumer = committed_reader(kafka, auto_offset_reset="earliest")
        self._following: asyncio.Task[None] | None = None
        self._read_up_to = 0
        self._news = asyncio.Event()

    def current(self, tree_id: TreeId) -> TreeDocument:
        """The version in force."""
        return self._current[tree_id]

    async def start(self) -> None:
        """Returns when everything that is on the topic now has been read; then follows it.

        Raises:
            BrokerUnavailable: Kafka or the topic is not there.
        """
        try:
            with broker_errors(self._kafka):
                await self._consumer.start()
                partitions = await partitions_of(self._consumer, TREE_VERSIONS)
                self._consumer.assign(partitions)
                for tp, at in (await self._consumer.beginning_offsets(partitions)).items():
                    self._consumer.seek(tp, at)
                changed = set()
                async for record in read_to_end(self._consumer, partitions):
                    if (document := self._accept(record)) is not None:
                        changed.add(document.tree_id)
        except BaseException:
            await self._consumer.stop()
            raise
        for tree_id in sorted(changed):
            self._tell(self._current[tree_id])
        self._following = asyncio.create_task(self._follow(), name="tree.versions")

    async def reached(self, offset: int) -> None:
        """Returns when the record at ``offset``, which is committed, has been read and told."""
        while self._read_up_to <= offset:
            await self._news.wait()

    async def stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
            self._following = None
        await self._consumer.stop()

    async def _follow(self) -> None:
        while True:
            try:
                fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
            except KafkaError as error:
                log.warning("tree.versions cannot be read now", error=repr(error))
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            for records in fetched.values():
                for record in records:
                    if (document := self._accept(record)) is not None:
                        self._tell(document)
            if fetched:
                self._news.set()
                self._news = asyncio.Event()

    def _tell(self, document: TreeDocument) -> None:
        if self._on_change is None:
            return
        try:
            self._on_change(document)
        except Exception:
            # Who follows versions goes on with what it had, and with the next one.
            log.exception("version not taken", tree_id=document.tree_id, version=document.version)

    def _accept(self, record: ConsumerRecord) -> TreeDocument | None:
        self._read_up_to = record.offset + 1
        document = tree_on(record)
        if document is None:
            return None
        in_force = self._current[document.tree_id]
        if document.version <= in_force.version:
            # Versions learned here come back; anything else was late.
            log.debug(
                "version is not a higher one",
                tree_id=document.tree_id,
                version=document.version,
                in_force=in_force.version,
            )
            return None
        self._current[document.tree_id] = document
        return document


def tree_on(record: ConsumerRecord) -> TreeDocument | None:
    """The document of a record on ``tree.versions``; ``None``, and a warning, if it is none."""
    try:
        return TreeDocument.model_validate_json(record.value or b"")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        log.warning(
            "record on tree.versions is no tree document",
            offset=record.offset,
            where=".".join(map(str, first["loc"])),
            reason=first["msg"],
        )
        return None
