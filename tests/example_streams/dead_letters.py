"""Dead letters put onto ``learner.dlq`` by hand, of records that are valid or not."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Producer

from agents.topics import DEAD_LETTERS, EVENTS, SETTLED_LETTERS
from config.settings import Settings
from faults.committed_records import committed_records
from schemas.dead_letter import DeadLetter, DeadLetterReason, SettledLetter
from schemas.errors import RejectedEvent
from streams.batch import Source, dead_letter
from streams.decode import Record

USER = "0b9d7c1e-6a52-4a53-9a6b-2f3a5e8d1c77"


def answer(number: int, **changes: Any) -> bytes:
    """A graded answer, given just now."""
    event = {
        "event_id": f"8a4f0a3c-2f5b-4f1e-8a77-{number:012d}",
        "type": "quiz.submitted",
        "user_id": USER,
        "course_id": "algebra",
        "occurred_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "question_id": f"q{number}",
        "score": 0.5,
    }
    return json.dumps({**event, **changes}).encode()


def letter(
    offset: int,
    raw: bytes,
    reason: DeadLetterReason = DeadLetterReason.UNKNOWN_FIELD,
    topic: str = EVENTS,
    key: bytes = USER.encode(),
    partition: int = 2,
    detail: str = "mood: it was not there yet",
) -> DeadLetter:
    record = Record(offset, key, raw, datetime(2026, 3, 1, tzinfo=UTC))
    return dead_letter(record, RejectedEvent(reason, detail), Source(topic, partition))


def write_letters(
    settings: Settings, letters: Iterable[DeadLetter], first_ms: int | None = None
) -> None:
    """Each in its record's partition, as the worker does; a second apart from ``first_ms`` on."""
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "message.max.bytes": 8_000_000,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    for number, each in enumerate(letters):
        producer.produce(
            DEAD_LETTERS,
            each.model_dump_json().encode(),
            each.dead_letter_id,
            partition=each.partition % settings.kafka.partitions,
            timestamp=0 if first_ms is None else first_ms + 1000 * number,
        )
        producer.poll(0)
    assert producer.flush(60) == 0


def values(settings: Settings, topic: str) -> dict[int, list[bytes]]:
    """What is committed on a topic, by partition."""
    count = 1 if topic == SETTLED_LETTERS else settings.kafka.partitions
    found = committed_records(settings.kafka.bootstrap_servers, topic, count)
    return {partition: [m.value() for m in messages] for partition, messages in found.items()}


def marks(settings: Settings) -> list[SettledLetter]:
    """In the order in which letters were settled."""
    return [SettledLetter.model_validate_json(raw) for raw in values(settings, SETTLED_LETTERS)[0]]
