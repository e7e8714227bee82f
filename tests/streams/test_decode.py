"""Bad input, each kind: the reason that it gets, and where the fault is said to be."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.dead_letter import DeadLetterReason
from schemas.errors import RejectedEvent
from streams.decode import Record, decode
from streams.rules import Rules

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
USER = "0b9d7c1e-6a52-4a53-9a6b-2f3a5e8d1c77"
EVENT = {
    "event_id": "8a4f0a3c-2f5b-4f1e-8a77-52d3c9a4e001",
    "type": "quiz.submitted",
    "user_id": USER,
    "course_id": "algebra",
    "occurred_at": "2026-03-01T11:59:00Z",
    "question_id": "q1",
    "score": 0.5,
}


def record(value: bytes, key: bytes | None = USER.encode()) -> Record:
    return Record(0, key, value, NOW)


def event(**changes: Any) -> bytes:
    return json.dumps({**EVENT, **changes}).encode()


def test_a_valid_event_is_decoded() -> None:
    decoded = decode(record(event()), Rules())
    assert decoded.type == "quiz.submitted"
    assert decoded.user_id == USER
    assert decoded.occurred_at == datetime(2026, 3, 1, 11, 59, tzinfo=UTC)


BAD: dict[str, tuple[bytes, DeadLetterReason, str]] = {
    "not JSON": (b"{bad", DeadLetterReason.NOT_JSON, "key must be a string"),
    "empty": (b"", DeadLetterReason.NOT_JSON, "EOF"),
    "not UTF-8": (b'{"type":"\xff\xfe"}', DeadLetterReason.NOT_UTF8, "0xff"),
    "wrong type": (event(score="0.5"), DeadLetterReason.INVALID_VALUE, "score"),
    "a list": (b"[1, 2]", DeadLetterReason.INVALID_VALUE, "an object"),
    "unknown type": (event(type="quiz.sneezed"), DeadLetterReason.UNKNOWN_TYPE, "quiz.sneezed"),
    "no type": (b"{}", DeadLetterReason.MISSING_FIELD, "type"),
    "unknown field": (event(mood="good"), DeadLetterReason.UNKNOWN_FIELD, "mood"),
    "NaN": (event(score=float("nan")), DeadLetterReason.INVALID_VALUE, "score"),
    "infinity": (event(duration=float("inf")), DeadLetterReason.INVALID_VALUE, "duration"),
    "out of range": (event(score=1.01), DeadLetterReason.INVALID_VALUE, "score"),
    "beyond 53 bits": (
        json.dumps(
            {name: EVENT[name] for name in ("event_id", "user_id", "course_id", "occurred_at")}
            | {"type": "course.enrolled", "previous_attempts": 2**53}
        ).encode(),
        DeadLetterReason.INVALID_VALUE,
        "previous_attempts",
    ),
    "missing user": (
        json.dumps({k: v for k, v in EVENT.items() if k != "user_id"}).encode(),
        DeadLetterReason.MISSING_FIELD,
        "user_id",
    ),
    "user not a UUID": (event(user_id="ada"), DeadLetterReason.INVALID_VALUE, "user_id"),
    "naive time": (
        event(occurred_at="2026-03-01T11:59:00"),
        DeadLetterReason.INVALID_VALUE,
        "occurred_at",
    ),
    "not UTC": (
        event(occurred_at="2026-03-01T11:59:00+02:00"),
        DeadLetterReason.INVALID_VALUE,
        "occurred_at",
    ),
    "epoch number": (event(occurred_at=1), DeadLetterReason.INVALID_VALUE, "occurred_at"),
    "from the future": (
        event(occurred_at="2026-03-01T12:05:01Z"),
        DeadLetterReason.FROM_THE_FUTURE,
        "more than 300 s after",
    ),
    "2 MB": (event(question_id="x" * 2_000_000), DeadLetterReason.TOO_LARGE, "2000"),
    "1,000 deep": (b"[" * 1000 + b"]" * 1000, DeadLetterReason.NOT_JSON, "recursion limit"),
    "control character in an id": (
        event(question_id="a\u0000b"),
        DeadLetterReason.INVALID_VALUE,
        "question_id",
    ),
    "a label that its tree does not have": (
        json.dumps(
            {
                **{k: v for k, v in EVENT.items() if k not in {"question_id", "score"}},
                "type": "label.assigned",
                "tree_id": "primary_classification",
                "label": "Spaced Review",
                "assigned_by": "teacher",
            }
        ).encode(),
        DeadLetterReason.INVALID_VALUE,
        "no label of primary_classification",
    ),
    "two objects": (event() + event(), DeadLetterReason.NOT_JSON, "trailing"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_its_reason_and_place(name: str) -> None:
    value, reason, place = BAD[name]
    with pytest.raises(RejectedEvent) as rejected:
        decode(record(value), Rules())
    assert rejected.value.reason is reason
    assert place in rejected.value.detail
    assert len(rejected.value.detail) <= 2000


def test_a_clock_within_the_tolerance_is_taken() -> None:
    assert decode(record(event(occurred_at="2026-03-01T12:05:00Z")), Rules())


@pytest.mark.parametrize("key", [b"somebody else", b"", USER[:-1].encode(), USER.upper().encode()])
def test_a_key_that_is_not_the_user_is_refused(key: bytes) -> None:
    with pytest.raises(RejectedEvent) as rejected:
        decode(record(event(), key), Rules())
    assert rejected.value.reason is DeadLetterReason.KEY_MISMATCH


def test_a_user_in_capitals_has_a_key_in_small_letters() -> None:
    """Another key would be another partition, and there a second state of the same learner."""
    shouted = event(user_id=USER.upper())
    assert decode(record(shouted, USER.encode()), Rules()).user_id == USER
    with pytest.raises(RejectedEvent, match="in lower case"):
        decode(record(shouted, USER.upper().encode()), Rules())


def test_a_line_of_a_file_has_no_key() -> None:
    assert decode(record(event(), None), Rules())


def test_the_limits_are_settings() -> None:
    rules = Rules(max_event_bytes=100, future_tolerance=timedelta(0))
    with pytest.raises(RejectedEvent, match="100"):
        decode(record(event()), rules)
