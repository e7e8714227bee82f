"""Dead letters: which a choice takes, what became of each, and what may go again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.behavior import Behavior
from schemas.dead_letter import DeadLetter, DeadLetterReason, SettledLetter
from schemas.errors import RejectedEvent
from schemas.event import event_adapter
from schemas.sample_records import SAMPLES
from schemas.topics import ACKS, DECISIONS, EVENTS
from streams.batch import Source, dead_letter
from streams.dead_letters import (
    Choice,
    ChosenLetters,
    Letter,
    by_reason,
    judge,
    letter_at,
    mark_of,
    may_be_too_late,
    settles,
    with_value,
)
from streams.decode import Record
from streams.rules import Rules
from streams.seen import day_number

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
USER = "0b9d7c1e-6a52-4a53-9a6b-2f3a5e8d1c77"
OTHER = "ffffffff-6a52-4a53-9a6b-2f3a5e8d1c77"
ID = "9d2c8f0e-2f6c-5e0d-9b43-0b0d4a6f7c3d"
SECOND = timedelta(seconds=1)
R = DeadLetterReason


def event(**changes: Any) -> bytes:
    made = {
        "event_id": "8a4f0a3c-2f5b-4f1e-8a77-52d3c9a4e001",
        "type": "quiz.submitted",
        "user_id": USER,
        "course_id": "algebra",
        "occurred_at": "2026-03-01T11:59:00Z",
        "question_id": "q1",
        "score": 0.5,
    }
    return json.dumps({**made, **changes}).encode()


def letter(**changes: Any) -> Letter:
    made = Letter(ID, 2, 10, NOW, R.NOT_JSON, "no JSON", EVENTS, 2, 1041, 5)
    return made._replace(**changes)


def content(
    raw: bytes,
    reason: DeadLetterReason = R.INVALID_VALUE,
    topic: str = EVENTS,
    key: bytes | None = USER.encode(),
) -> DeadLetter:
    rejected = RejectedEvent(reason, "it was wrong")
    return dead_letter(Record(1041, key, raw, NOW), rejected, Source(topic, 2))


CHOICES: dict[str, tuple[Choice, bool]] = {
    "everything": (Choice(), True),
    "its id": (Choice(ids=frozenset([ID])), True),
    "another id": (Choice(ids=frozenset([USER])), False),
    "no id at all": (Choice(ids=frozenset()), False),
    "its reason": (Choice(reasons=frozenset([R.NOT_JSON, R.TOO_LATE])), True),
    "another reason": (Choice(reasons=frozenset([R.TOO_LATE])), False),
    "its topic": (Choice(topics=frozenset([EVENTS])), True),
    "another topic": (Choice(topics=frozenset([ACKS])), False),
    "since then": (Choice(since=NOW), True),
    "since later": (Choice(since=NOW + SECOND), False),
    "until then, without it": (Choice(until=NOW), False),
    "until later": (Choice(until=NOW + SECOND), True),
    "its reason, another topic": (
        Choice(reasons=frozenset([R.NOT_JSON]), topics=frozenset([ACKS])),
        False,
    ),
}


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_takes_what_is_all_of_what_it_says(name: str) -> None:
    choice, taken = CHOICES[name]
    assert choice.takes(letter()) is taken


MARKS: dict[str, tuple[dict[str, Any], bool]] = {
    "made for this letter": ({}, True),
    "made for a later one of the same record": ({"offset": 11, "written_at": NOW + SECOND}, True),
    "made for an earlier one: refused once more since": (
        {"offset": 9, "written_at": NOW - SECOND},
        False,
    ),
    "of topics that were made anew": ({"offset": 500, "written_at": NOW - 30 * SECOND}, False),
    "later by the clock only": ({"offset": 9, "written_at": NOW + SECOND}, False),
    "of another partition": ({"partition": 1}, False),
    "of another letter": ({"dead_letter_id": USER}, False),
}


@pytest.mark.parametrize("name", MARKS)
def test_which_letters_a_mark_settles(name: str) -> None:
    changes, settled = MARKS[name]
    mark = mark_of(letter(), "dropped", "anna", NOW).model_copy(update=changes)
    assert settles(mark, letter()) is settled


def test_a_mark_comes_back_from_its_topic_as_it_was_written() -> None:
    # Kafka's milliseconds, which are no whole number of microseconds in floating point.
    for ms in range(1_772_366_400_001, 1_772_366_400_200):
        written_at = datetime.fromtimestamp(ms / 1000, UTC)
        mark = mark_of(letter(written_at=written_at), "resent", "anna", NOW)
        read = SettledLetter.model_validate_json(mark.model_dump_json())
        assert settles(read, letter(written_at=written_at))


def test_a_state_is_open_until_a_mark_says_otherwise() -> None:
    chosen = ChosenLetters(Choice())
    for number in range(3):
        chosen.written(letter(dead_letter_id=f"{number}", offset=number))
    by_id = {found.dead_letter_id: found for found in chosen}
    for number, state in ((0, "resent"), (1, "dropped")):
        made = mark_of(by_id[str(number)]._replace(dead_letter_id=ID), state, "anna", NOW)  # type: ignore[arg-type]
        chosen.settled(made.model_copy(update={"dead_letter_id": str(number)}))
    assert [found.state for found in chosen] == ["resent", "dropped", "open"]


def test_who_wants_open_letters_only_holds_no_others() -> None:
    chosen = ChosenLetters(Choice(only_open=True))
    for number in (1, 2):
        chosen.written(letter(dead_letter_id=f"{number}"))
    mark = mark_of(letter(), "dropped", "anna", NOW)
    chosen.settled(mark.model_copy(update={"dead_letter_id": "1"}))
    assert [found.dead_letter_id for found in chosen] == ["2"]


def test_of_two_letters_of_one_record_the_last_counts() -> None:
    first, again = letter(), letter(offset=20, written_at=NOW + SECOND)
    for written in ((first, again), (again, first)):
        chosen = ChosenLetters(Choice())
        for each in written:
            chosen.written(each)
        chosen.settled(mark_of(first, "resent", "anna", NOW))
        assert [(found.offset, found.state) for found in chosen] == [(20, "open")]
        chosen.settled(mark_of(again, "resent", "anna", NOW))
        assert [found.state for found in chosen] == ["resent"]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["written", "resent", "dropped"]))))
def test_whatever_was_done_in_whatever_order(done: list[tuple[int, str]]) -> None:
    """Against the plain way to tell it: the last thing that happened to a record counts."""
    ids = [f"0000000{n}-6a52-4a53-9a6b-2f3a5e8d1c77" for n in range(4)]
    log: list[Letter] = []
    marks: list[SettledLetter] = []
    state: dict[str, str] = {}
    for at, (which, what) in enumerate(done):
        id_ = ids[which]
        if what == "written":
            log.append(letter(dead_letter_id=id_, offset=at, written_at=NOW + at * SECOND))
            state[id_] = "open"
        elif state.get(id_) == "open":
            last = next(one for one in reversed(log) if one.dead_letter_id == id_)
            marks.append(mark_of(last, what, "anna", NOW))  # type: ignore[arg-type]
            state[id_] = what
    chosen = ChosenLetters(Choice())
    for one in log:
        chosen.written(one)
    # Compacted: of each letter's marks the last is left.
    for mark in {mark.dead_letter_id: mark for mark in marks}.values():
        chosen.settled(mark)
    assert {found.dead_letter_id: found.state for found in chosen} == state
    assert by_reason(chosen).total() == len(state)


def test_a_letter_keeps_an_outline_only() -> None:
    long = content(b"x" * 1000).model_copy(update={"detail": "y" * 2000})
    kept = letter_at(1, 7, NOW, long)
    assert (kept.size, len(kept.detail), kept.partition, kept.offset) == (1000, 200, 1, 7)
    assert (kept.source_topic, kept.source_partition, kept.source_offset) == (EVENTS, 2, 1041)
    assert not any(isinstance(value, bytes) for value in kept)


ACK = json.dumps(SAMPLES["delivery-ack"][0][1]).encode()
ACK_USER = str(SAMPLES["delivery-ack"][0][1]["user_id"]).encode()
STILL_REJECTED: dict[str, tuple[DeadLetter, DeadLetterReason, str]] = {
    "not JSON": (content(b"{bad", R.NOT_JSON), R.NOT_JSON, "key must be a string"),
    "another fault than it had": (content(event(score=2), R.TOO_LARGE), R.INVALID_VALUE, "score"),
    "somebody else's key": (
        content(event(), R.KEY_MISMATCH, key=OTHER.encode()),
        R.KEY_MISMATCH,
        USER,
    ),
    "no key": (content(event(), R.KEY_MISMATCH, key=None), R.KEY_MISMATCH, USER),
    "from the future still": (
        content(event(occurred_at="2026-03-01T12:06:00Z"), R.FROM_THE_FUTURE),
        R.FROM_THE_FUTURE,
        "300 s",
    ),
    "too late still": (
        content(event(occurred_at="2026-01-01T00:00:00Z"), R.TOO_LATE),
        R.TOO_LATE,
        "45 days",
    ),
    "no acknowledgement": (content(event(), topic=ACKS), R.MISSING_FIELD, "delivery_id"),
    "a decision": (content(b"{}", R.MISSING_FIELD, DECISIONS), R.MISSING_FIELD, "of its moment"),
    "a delivery that was given up": (
        content(b"{}", R.NOT_ACKNOWLEDGED, DECISIONS),
        R.NOT_ACKNOWLEDGED,
        "facilitator.decisions",
    ),
    "of a topic that is ours": (
        content(event(), topic="learner-behavior-changelog"),
        R.INVALID_VALUE,
        "learner-behavior-changelog",
    ),
}


@pytest.mark.parametrize("name", STILL_REJECTED)
def test_what_is_rejected_still_and_why(name: str) -> None:
    rejected, reason, word = STILL_REJECTED[name]
    with pytest.raises(RejectedEvent) as why:
        judge(rejected, NOW, Rules(), last_active(NOW))
    assert why.value.reason is reason
    assert word in why.value.detail


def last_active(at: datetime) -> dict[str, Behavior]:
    return {USER: Behavior(USER, last_activity_at=at)}


VALID: dict[str, DeadLetter] = {
    "rejected by an older version": content(event(), R.UNKNOWN_FIELD),
    "its time has come": content(event(occurred_at="2026-03-01T12:04:59Z"), R.FROM_THE_FUTURE),
    "an acknowledgement": content(ACK, topic=ACKS, key=ACK_USER),
}


@pytest.mark.parametrize("name", VALID)
def test_what_is_valid_now(name: str) -> None:
    judged = judge(VALID[name], NOW, Rules(), {})
    assert (judged is None) is (VALID[name].topic == ACKS)


def test_too_late_is_judged_by_the_horizon_of_now() -> None:
    late = content(event(occurred_at="2026-01-01T00:00:00Z"), R.TOO_LATE)
    assert judge(late, NOW, Rules(horizon=timedelta(days=60)), last_active(NOW)) is not None
    assert judge(late, NOW, Rules(), {}) is not None, "a learner of whom nothing is known"


def test_an_event_of_others_on_a_forgotten_day_is_rejected_still() -> None:
    day = day_number(NOW - timedelta(days=90))
    silent = Behavior(
        USER, last_activity_at=NOW - timedelta(days=200), forgotten_days=(day - 1, day + 1)
    )
    at = (NOW - timedelta(days=90)).isoformat()
    told = json.loads(event(type="label.assigned", occurred_at=at))
    del told["question_id"], told["score"]
    told |= {"tree_id": "primary_classification", "label": "Fast Tracker", "assigned_by": "ada"}
    by_others = json.dumps(told).encode()
    with pytest.raises(RejectedEvent, match="no longer known"):
        judge(content(by_others, R.TOO_LATE), NOW, Rules(), {USER: silent})
    assert judge(content(event(occurred_at=at), R.TOO_LATE), NOW, Rules(), {USER: silent})


@given(st.integers(-400, 500 * 86_400), st.integers(-300, 90_000_000))
def test_an_event_within_the_horizon_needs_no_look_at_the_state(
    seconds_ago: int, last_seconds_ago: int
) -> None:
    """Whatever the learner's last activity is, as long as it may have been told by now."""
    at = NOW - timedelta(seconds=seconds_ago)
    raw = event(occurred_at=f"{at:%Y-%m-%dT%H:%M:%SZ}")
    too_new = at > NOW + Rules().future_tolerance
    if not too_new and not may_be_too_late(event_adapter.validate_json(raw), NOW, Rules()):
        last = NOW - timedelta(seconds=last_seconds_ago)
        assert judge(content(raw), NOW, Rules(), last_active(last)) is not None


def test_a_correction_brings_the_key_that_its_record_must_have() -> None:
    wrong = content(event(), R.KEY_MISMATCH, key=OTHER.encode())
    assert with_value(wrong, wrong.raw).key == USER.encode()
    assert judge(with_value(wrong, wrong.raw), NOW, Rules(), {}) is not None
    upper = content(event(), key=USER.upper().encode())
    assert with_value(upper, event(score=1)).key == USER.encode()


@pytest.mark.parametrize("value", [b"", b"[1]", b"7", b'{"user_id": 7}', b"\xff", b"[" * 5000])
def test_a_correction_without_a_user_keeps_the_key_and_is_rejected(value: bytes) -> None:
    corrected = with_value(content(event()), value)
    assert (corrected.key, corrected.raw) == (USER.encode(), value)
    with pytest.raises(RejectedEvent):
        judge(corrected, NOW, Rules(), {})
