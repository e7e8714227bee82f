"""Dead letters of sinks: a record that a store refused, whole, with the store's own reason."""

from __future__ import annotations

import uuid
from datetime import datetime
from types import TracebackType
from typing import Self

import structlog
from aiokafka import ConsumerRecord

from agents.broker_errors import broker_errors
from agents.event_record import recorded_at
from agents.kafka_client import idempotent_producer
from agents.topics import DEAD_LETTERS, TABLES, changelog
from config.settings import Settings
from schemas.dead_letter import DeadLetter, DeadLetterReason
from sinks.contract import SinkRecord

log = structlog.get_logger(__name__)

_ROOM_BYTES = 8 * 1024 * 1024
_LONGEST_DETAIL = 2000
_LETTERS = uuid.uuid5(uuid.NAMESPACE_URL, "learner.dlq/store")


class SinkLetters:
    """Writes to ``learner.dlq``; each call returns once Kafka has the letter.

    A letter's id is derived from the store and where the record stands, so a repeat is known.

    Raises:
        BrokerUnavailable: Kafka does not take it: nothing may be committed past the record.
    """

    def __init__(self, settings: Settings, store: str) -> None:
        self._settings = settings
        self._store = store
        self._producer = idempotent_producer(settings.kafka, max_request_size=_ROOM_BYTES)

    async def __aenter__(self) -> Self:
        with broker_errors(self._settings.kafka):
            await self._producer.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self._producer.stop()

    async def refused(self, record: SinkRecord, reason: str) -> None:
        """A record that the store takes in no batch, not even alone."""
        topic = record.topic
        if topic in TABLES:
            topic = changelog(self._settings.worker.app_id, topic)
        await self._send(
            topic, record.partition, record.offset, record.key.encode(), record.raw, reason, None
        )

    async def unreadable(self, record: ConsumerRecord, reason: str) -> None:
        """A record on one of our own topics that is not what it holds."""
        at = recorded_at(record.timestamp)
        key, raw = record.key, record.value or b""
        await self._send(record.topic, record.partition, record.offset, key, raw, reason, at)

    async def _send(  # noqa: PLR0913, PLR0917  # the fields of a letter
        self,
        topic: str,
        partition: int,
        offset: int,
        key: bytes | None,
        raw: bytes,
        reason: str,
        recorded_at: datetime | None,
    ) -> None:
        said = f"{self._store}: {reason}"[:_LONGEST_DETAIL]
        log.warning(
            "record refused", store=self._store, topic=topic, offset=offset, reason=said[:300]
        )
        if topic == DEAD_LETTERS:
            return  # it is a dead letter already: a letter about it would come back here
        place = f"{self._store}/{topic}/{partition}/{offset}"
        letter = DeadLetter.model_construct(
            dead_letter_id=str(uuid.uuid5(_LETTERS, place)),
            reason=DeadLetterReason.STORE_REFUSED,
            detail=said,
            topic=topic,
            partition=partition,
            offset=offset,
            recorded_at=recorded_at,
            key=key,
            raw=raw,
        )
        with broker_errors(self._settings.kafka):
            await self._producer.send_and_wait(
                DEAD_LETTERS, letter.model_dump_json().encode(), letter.dead_letter_id.encode()
            )
