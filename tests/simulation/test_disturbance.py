"""What is added to the events is counted, and the step counts the same."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

import pytest

from config.seed_trees import seed_trees
from schemas.dead_letter import DeadLetterReason
from schemas.errors import RejectedEvent
from simulation.classroom import simulate
from simulation.disturbance import Ledger, disturb, event_id_of, routing_key
from simulation.malformed import KINDS
from streams.batch import Source
from streams.decode import Record, decode
from streams.replay import Replay
from streams.rules import Rules

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANSWER = {
    "event_id": "00000000-0000-4000-8000-000000000001",
    "user_id": "00000000-0000-4000-8000-00000000000a",
    "type": "quiz.submitted",
    "occurred_at": "2024-01-08T09:00:00Z",
    "course_id": "algebra",
    "source": "lms",
    "question_id": "q1",
    "score": 0.5,
}


@pytest.fixture(scope="module")
def originals() -> list[bytes]:
    return list(simulate(40, 90, 5))


def test_the_answer_that_is_broken_is_valid_before() -> None:
    decode(Record(0, None, json.dumps(ANSWER).encode(), NOW), Rules())


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_rejected(kind: str) -> None:
    with pytest.raises(RejectedEvent):
        decode(Record(0, None, KINDS[kind](dict(ANSWER)), NOW), Rules())


def test_kinds_are_what_they_are_called() -> None:
    expected = {
        "not JSON": DeadLetterReason.NOT_JSON,
        "not UTF-8": DeadLetterReason.NOT_UTF8,
        "wrong type": DeadLetterReason.INVALID_VALUE,
        "unknown type": DeadLetterReason.UNKNOWN_TYPE,
        "unknown field": DeadLetterReason.UNKNOWN_FIELD,
        "no user": DeadLetterReason.MISSING_FIELD,
        "out of range": DeadLetterReason.INVALID_VALUE,
        "from the future": DeadLetterReason.FROM_THE_FUTURE,
        "too large": DeadLetterReason.TOO_LARGE,
    }
    for kind, reason in expected.items():
        with pytest.raises(RejectedEvent) as rejected:
            decode(Record(0, None, KINDS[kind](dict(ANSWER)), NOW), Rules())
        assert rejected.value.reason is reason, kind


def test_the_ledger_is_what_the_step_counts(originals: list[bytes]) -> None:
    ledger = Ledger()
    lines = list(disturb(originals, 5, ledger, malformed=0.02))
    assert min(ledger.repeats, ledger.malformed, ledger.late) > 50
    assert ledger.malformed >= len(KINDS)
    replay = Replay(seed_trees(), Rules(), Source("class", 0))
    for _ in replay.feed(Record(n, None, line, NOW) for n, line in enumerate(lines)):
        pass
    assert replay.counts == {
        "folded": len(originals),
        "repeated": ledger.repeats,
        "dead": ledger.malformed,
    }


def test_originals_all_come_with_repeats_beside_them(originals: list[bytes]) -> None:
    ledger = Ledger()
    sent = Counter(disturb(originals, 1, ledger, malformed=0))
    assert set(sent) == set(originals)
    assert sent.total() == len(originals) + ledger.repeats
    assert ledger.malformed == 0


def test_what_is_late_comes_within_two_weeks(originals: list[bytes]) -> None:
    ledger = Ledger()
    latest = datetime.min.replace(tzinfo=UTC)
    behind: list[float] = []
    for line in disturb(originals, 1, ledger, repeats=0, malformed=0, late=0.1):
        at = datetime.fromisoformat(json.loads(line)["occurred_at"])
        latest = max(latest, at)
        behind.append((latest - at).total_seconds() / 86_400)
    assert sum(days > 0 for days in behind) <= ledger.late
    assert sum(days > 1 for days in behind) > 50
    assert max(behind) < 14


def test_undisturbed_nothing_changes(originals: list[bytes]) -> None:
    ledger = Ledger()
    assert list(disturb(originals, 1, ledger, 0, 0, 0)) == originals
    assert ledger == Ledger(0, 0, 0)


def test_the_same_seed_disturbs_in_the_same_way(originals: list[bytes]) -> None:
    some = originals[:2_000]
    first = list(disturb(some, 9, Ledger()))
    assert list(disturb(some, 9, Ledger())) == first
    assert list(disturb(some, 8, Ledger())) != first


def test_key_and_id_are_those_of_the_event(originals: list[bytes]) -> None:
    for line in originals[:500]:
        event = json.loads(line)
        assert routing_key(line) == event["user_id"].encode()
        assert event_id_of(line) == event["event_id"]


@pytest.mark.parametrize(
    ("line", "key", "event_id"),
    [
        (b"", b"", ""),
        (b"{}", b"", ""),
        (b'{"user_id":7,"event_id":"e"}', b"", "e"),
        (b'{"event_id":"e","user_id":"u', b"", "e"),
        (b'{"user_id":"u","event_id":null}', b"u", ""),
        (b'{"text":"\\"user_id\\":\\"x\\"","user_id":"u"}', b"u", ""),
    ],
)
def test_key_and_id_of_broken_lines(line: bytes, key: bytes, event_id: str) -> None:
    assert (routing_key(line), event_id_of(line)) == (key, event_id)
