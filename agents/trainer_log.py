"""The trainer's memory on Kafka: versions and snapshot written as one, the newest snapshot read."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Sequence
from typing import Any

from aiokafka.errors import ProducerFenced
from pydantic import ValidationError

from agents.broker_errors import broker_errors
from agents.kafka_client import committed_reader, idempotent_producer
from agents.topic_reader import last_record, partitions_of
from agents.topics import SNAPSHOTS, TREE_VERSIONS
from config.settings import Settings
from schemas.contract import encode
from schemas.errors import Fenced, InvalidRecord
from schemas.snapshot import MAX_SNAPSHOT_BYTES, TrainerSnapshot, snapshot_adapter
from schemas.tree import TreeDocument

SNAPSHOT_KEY = b"trainer"
_ROOM_BYTES = 8 * 1024 * 1024
_TRANSACTION_MS = 15_000
_STOP_SECONDS = 5


class TrainerLog:
    """One transactional producer: whoever starts one fences the trainer before."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = settings.kafka
        self._wait = settings.worker.transaction_wait_seconds
        self._producer = idempotent_producer(
            settings.kafka,
            transactional_id=f"{settings.worker.app_id}-trainer",
            transaction_timeout_ms=_TRANSACTION_MS,
            max_request_size=_ROOM_BYTES,
        )

    async def fence(self) -> None:
        """From here on no trainer that was started before can write.

        Raises:
            BrokerUnavailable: Kafka is not there.
        """
        try:
            with broker_errors(self._kafka):
                await self._producer.start()
        except BaseException:
            await self.stop()
            raise

    async def write(
        self, versions: Sequence[TreeDocument], snapshot: TrainerSnapshot
    ) -> int | None:
        """Versions and snapshot in one transaction: all or nothing.

        Returns:
            The offset of the last version on ``tree.versions``; ``None`` without any.

        Raises:
            Fenced: a later trainer has taken over.
            BrokerUnavailable: not done in time; what became of it, the next start finds out.
            InvalidRecord: the snapshot is larger than a record may be.
        """
        value = encode(snapshot)
        if len(value) > MAX_SNAPSHOT_BYTES:
            raise InvalidRecord(
                f"the trainer's snapshot has {len(value):,} bytes, {MAX_SNAPSHOT_BYTES:,} is the "
                "most: lower LEARNER_TRAINER__MAX_DEPTH"
            )
        try:
            with broker_errors(self._kafka):
                async with asyncio.timeout(self._wait):
                    return await self._commit(versions, value)
        except Fenced:
            # aiokafka leaves its own futures with the same error; once is enough.
            asyncio.get_running_loop().set_exception_handler(_said_already)
            raise

    async def _commit(self, versions: Sequence[TreeDocument], snapshot: bytes) -> int | None:
        await self._producer.begin_transaction()
        deliveries = [
            await self._producer.send(
                TREE_VERSIONS,
                document.model_dump_json().encode(),
                version_key(document),
                partition=0,
            )
            for document in versions
        ]
        deliveries.append(await self._producer.send(SNAPSHOTS, snapshot, SNAPSHOT_KEY, partition=0))
        delivered = await asyncio.gather(*deliveries)
        await self._producer.commit_transaction()
        return delivered[len(versions) - 1].offset if versions else None

    async def newest(self) -> TrainerSnapshot | None:
        """The last snapshot that was committed; call it after `fence`, so that it stays the last.

        Raises:
            InvalidRecord: it is not a snapshot.
            BrokerUnavailable: Kafka or the topic is not there.
        """
        consumer = committed_reader(
            self._kafka, auto_offset_reset="none", max_partition_fetch_bytes=_ROOM_BYTES
        )
        try:
            with broker_errors(self._kafka):
                await consumer.start()
                tp, *_ = await partitions_of(consumer, SNAPSHOTS)
                record = await last_record(consumer, tp, SNAPSHOT_KEY)
        finally:
            await consumer.stop()
        if record is None or record.value is None:
            return None
        try:
            return snapshot_adapter.validate_json(record.value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise InvalidRecord(
                f"the last record on {SNAPSHOTS} is no snapshot ({where}: {first['msg']}): delete "
                "the topic and create it anew to let the trainer learn from the beginning"
            ) from None

    async def stop(self) -> None:
        """Lets go; a fenced or cut-off producer is not waited for."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._producer.stop()


def version_key(document: TreeDocument) -> bytes:
    """The key of a version on ``tree.versions``: compaction keeps all of them.

    The last part tells two versions apart that two people gave one number, so that the second,
    which nobody takes, never erases the first.
    """
    content = hashlib.sha256(document.model_dump_json().encode()).hexdigest()[:8]
    return f"{document.tree_id}:{document.version}:{content}".encode()


def _said_already(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), ProducerFenced):
        loop.default_exception_handler(context)
