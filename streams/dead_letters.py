"""Dead letters as people deal with them: which are meant, what became of each, what may go again.

    open ─► resent     its record stands on its own topic again
         └► dropped    nobody wants it

A letter is never changed: a mark on ``learner.dlq.settled`` says what was done with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from schemas.behavior import Behavior
from schemas.dead_letter import DeadLetter, DeadLetterReason, LetterState, SettledLetter
from schemas.errors import RejectedEvent
from schemas.event import LearnerEvent
from schemas.topics import ACKS, DECISIONS, EVENTS
from streams.decode import Record, decode, user_id_in
from streams.delivery_records import decode_ack
from streams.rules import Rules
from streams.step import reject_too_late

_LONGEST_DETAIL = 200

RESENDABLE = (EVENTS, ACKS)
"""Topics that others write; on our own ones a record twice would be an effect twice."""

_WHY_NOT = {
    DECISIONS: "a decision is of its moment, and sent again it would be delivered over a newer one;"
    " the learner's next decision takes its place. Drop the letter",
    DeadLetterReason.NOT_ACKNOWLEDGED: "a decision is of its moment: this one stands on"
    " facilitator.decisions still, for a service that comes back, and the learner's next one takes"
    " its place. Drop the letter",
}


class Letter(NamedTuple):
    """A dead letter without its record, so that many fit into memory.

    ``partition``, ``offset``, ``written_at``: where it stands on ``learner.dlq``, and its Kafka
    timestamp. ``detail``: at most 200 characters of it. ``size``: of its record, in bytes.
    ``mark``: what was done with it, ``None`` while it is open.
    """

    dead_letter_id: str
    partition: int
    offset: int
    written_at: datetime
    reason: DeadLetterReason
    detail: str
    source_topic: str
    source_partition: int
    source_offset: int
    size: int
    mark: SettledLetter | None = None

    @property
    def state(self) -> LetterState:
        return "open" if self.mark is None else self.mark.state


def letter_at(partition: int, offset: int, written_at: datetime, content: DeadLetter) -> Letter:
    """The letter that stands there."""
    return Letter(
        content.dead_letter_id,
        partition,
        offset,
        written_at,
        content.reason,
        content.detail[:_LONGEST_DETAIL],
        content.topic,
        content.partition,
        content.offset,
        len(content.raw),
    )


class Choice(NamedTuple):
    """Which letters are meant: those that are all of what is given here.

    ``ids`` are in lower case; ``None``: any. ``reasons`` and ``topics`` (where the record was):
    one of them, any if there are none. ``since`` (included), ``until`` (not): by ``written_at``.
    ``only_open``: none that was settled.
    """

    ids: frozenset[str] | None = None
    reasons: frozenset[DeadLetterReason] = frozenset()
    topics: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    only_open: bool = False

    def takes(self, letter: Letter) -> bool:
        """Whether it is meant, unless it turns out to be settled."""
        return (
            (self.ids is None or letter.dead_letter_id in self.ids)
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or letter.source_topic in self.topics)
            and (self.since is None or letter.written_at >= self.since)
            and (self.until is None or letter.written_at < self.until)
        )


class ChosenLetters:
    """The letters of a choice, put together from both topics: letters first, then marks.

    Of several with one id, which a sink may write when it is killed, the last one counts.
    """

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._letters: dict[str, Letter] = {}

    def written(self, letter: Letter) -> None:
        """A letter of ``learner.dlq``, in any order of partitions."""
        if not self._choice.takes(letter):
            return
        before = self._letters.get(letter.dead_letter_id)
        if before is None or before.written_at <= letter.written_at:
            self._letters[letter.dead_letter_id] = letter

    def settled(self, mark: SettledLetter) -> None:
        """A mark of ``learner.dlq.settled``, in order."""
        letter = self._letters.get(mark.dead_letter_id)
        if letter is None or not settles(mark, letter):
            return
        if self._choice.only_open:
            del self._letters[mark.dead_letter_id]
        else:
            self._letters[mark.dead_letter_id] = letter._replace(mark=mark)

    def __iter__(self) -> Iterator[Letter]:
        return iter(self._letters.values())


def settles(mark: SettledLetter, letter: Letter) -> bool:
    """Whether the mark was made for this letter, or for a later one of the same record.

    Not for one that came after it: the record was refused once more. Nor for one of the same id
    at the same place of topics that were made anew, which is younger than the mark knows.
    """
    return (
        mark.dead_letter_id == letter.dead_letter_id
        and mark.partition == letter.partition
        and mark.offset >= letter.offset
        and mark.written_at >= letter.written_at
    )


def mark_of(
    letter: Letter, state: LetterState, by: str, at: datetime, *, corrected: bool = False
) -> SettledLetter:
    """What settles a letter."""
    assert state != "open"  # noqa: S101  # that is the letter without a mark
    return SettledLetter(
        dead_letter_id=letter.dead_letter_id,
        state=state,
        partition=letter.partition,
        offset=letter.offset,
        written_at=letter.written_at,
        settled_at=at,
        settled_by=by,
        corrected=corrected,
    )


def by_reason(letters: Iterable[Letter]) -> Counter[DeadLetterReason]:
    return Counter(letter.reason for letter in letters)


def judge(
    letter: DeadLetter, now: datetime, rules: Rules, behaviors: Mapping[str, Behavior]
) -> LearnerEvent | None:
    """The event that a letter's record is, as the worker would judge it if it came ``now``.

    ``None`` of an acknowledgement, which the facilitator would take. ``behaviors``:
    by ``user_id``, needed of those that have one and whose event `may_be_too_late`.

    Raises:
        RejectedEvent: it is rejected still, or goes back onto no topic; why.
    """
    record = Record(letter.offset, letter.key or b"", letter.raw, now)
    if letter.reason is not DeadLetterReason.NOT_ACKNOWLEDGED:
        if letter.topic == EVENTS:
            event = decode(record, rules)
            behavior = behaviors.get(event.user_id) or Behavior(event.user_id)
            reject_too_late(event, behavior, rules.horizon)
            return event
        if letter.topic == ACKS:
            decode_ack(record)
            return None
    why = _WHY_NOT.get(letter.reason) or _WHY_NOT.get(letter.topic)
    raise RejectedEvent(
        letter.reason,
        why or f"{letter.topic} is none of {', '.join(RESENDABLE)}, which alone others write to",
    )


def may_be_too_late(event: LearnerEvent, now: datetime, rules: Rules) -> bool:
    """Whether the learner's state has to be asked. Nothing in it is later than ``now`` and what a
    clock may be ahead, and within the horizon before that nothing is forgotten."""
    return event.occurred_at < now + rules.future_tolerance - rules.horizon


def with_value(letter: DeadLetter, value: bytes) -> DeadLetter:
    """The letter with another record, and with the key that this record must have.

    That is its ``user_id``; a record that names none keeps the key, and `judge` says what is wrong.
    """
    named = user_id_in(value)
    key = letter.key if named is None else named.encode()
    return letter.model_copy(update={"raw": value, "key": key})
