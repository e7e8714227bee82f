"""Puts events on ``learner.events`` as an LMS does: for a first try, or to load what was before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from agents.broker_errors import broker_errors
from agents.kafka_client import choose_partition, idempotent_producer
from agents.topic_admin import partition_counts
from agents.topics import MOST_EVENT_RECORD_BYTES
from config.settings import Settings
from schemas.dead_letter import DeadLetterReason
from schemas.errors import BrokerUnavailable, RejectedEvent
from schemas.topics import EVENTS
from streams.decode import Record, decode, user_id_in
from streams.rules import Rules

_LINGER_MS = 20
_BATCH_BYTES = 512 * 1024
_LARGEST = MOST_EVENT_RECORD_BYTES - 1024
"""Of a key and a line, in bytes; what does not compress, compression makes some hundred larger."""
_ON_THE_WAY = 10_000
"""Events, before Kafka is waited for."""


class Sent(NamedTuple):
    """``sent``: Kafka has them. ``refused``: they are no events, so nothing was sent."""

    sent: int
    refused: int


async def send_events(
    settings: Settings,
    rules: Rules,
    lines: Iterable[bytes],
    on_refused: Callable[[int, RejectedEvent], object],
    *,
    unchecked: bool = False,
) -> Sent:
    """Each line that a worker would take, in order, with its learner as key.

    Args:
        on_refused: is told a line's number, from 1, and what is wrong with it.
        unchecked: sends every line that Kafka takes, for a worker to judge; without a key where
            none can be found.

    Raises:
        BrokerUnavailable: Kafka or the topic is not there, or went away: what was sent before may
            be there already. Sent again, it counts as a repeat.
    """
    if EVENTS not in await partition_counts(settings.kafka):
        raise BrokerUnavailable(f"topic {EVENTS} is not there: run `learner topics create`")
    sent = refused = 0
    on_the_way: list[asyncio.Future[object]] = []
    producer = idempotent_producer(
        settings.kafka,
        compression_type="zstd",
        linger_ms=_LINGER_MS,
        max_batch_size=_BATCH_BYTES,
        max_request_size=_LARGEST,
        partitioner=choose_partition(settings.kafka),
    )
    with broker_errors(settings.kafka):
        try:
            await producer.start()
            for number, line in enumerate(lines, 1):
                try:
                    user_id = user_id_in(line) if unchecked else _learner(number, line, rules)
                    key = None if user_id is None else user_id.encode()
                    on_the_way.append(await _send(producer, line, key))
                except RejectedEvent as rejected:
                    refused += 1
                    on_refused(number, rejected)
                    continue
                sent += 1
                if len(on_the_way) == _ON_THE_WAY:
                    await asyncio.gather(*on_the_way)
                    on_the_way.clear()
            await asyncio.gather(*on_the_way)
        finally:
            await producer.stop()
    return Sent(sent, refused)


async def _send(
    producer: AIOKafkaProducer, line: bytes, key: bytes | None
) -> asyncio.Future[object]:
    """Raises: RejectedEvent: it is larger than the topic takes."""
    try:
        delivery: asyncio.Future[object] = await producer.send(EVENTS, line, key)
    except MessageSizeTooLargeError:
        raise RejectedEvent(
            DeadLetterReason.TOO_LARGE, f"{len(line)} bytes; {EVENTS} takes {_LARGEST} with the key"
        ) from None
    return delivery


def _learner(number: int, line: bytes, rules: Rules) -> str:
    """Raises: RejectedEvent: it is no event."""
    return decode(Record(number, None, line, datetime.now(UTC)), rules).user_id
