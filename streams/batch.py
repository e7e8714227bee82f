"""A list of records through the step, every table read and written through one overlay.

The worker hands it what it fetched, replay the lines of a file. Nothing is changed but the result:
the worker puts it into its tables once Kafka has it.
"""

from __future__ import annotations

import uuid
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from schemas.behavior import Behavior
from schemas.chat import ChatRecord
from schemas.dead_letter import DeadLetter
from schemas.decision import Decision
from schemas.engagement import Engagement
from schemas.errors import RejectedEvent
from schemas.event import LearnerEvent
from schemas.example import TreeExample
from schemas.profile import Profile
from streams import seen
from streams.decode import Record, decode
from streams.rules import Rules
from streams.step import Learner, Trees, course_of, reject_too_late, step
from streams.tables import Overlay, Tables

S = TypeVar("S", Profile, Behavior, Engagement)

_DEAD_LETTERS = uuid.uuid5(uuid.NAMESPACE_URL, "learner.dlq")

_BEFORE_ALL = -1_000_000
"""A day before the year 1."""


class Source(NamedTuple):
    """Where the records stand: what a dead letter says of its origin."""

    topic: str
    partition: int


class Batch:
    """What a list of records did.

    Each record is counted once in ``counts``: ``folded``, ``repeated`` (a producer's repeat),
    ``replayed`` (an offset folded before) or ``dead``. ``first_folded``: the offset of the first
    that was folded, ``None`` without one.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = Overlay(tables)
        self.decisions: list[Decision] = []
        self.examples: list[TreeExample] = []
        self.chat: list[ChatRecord] = []
        self.dead_letters: list[DeadLetter] = []
        self.counts: Counter[str] = Counter()
        self.first_folded: int | None = None


def process(
    records: Iterable[Record],
    tables: Tables,
    trees: Trees,
    rules: Rules,
    source: Source,
) -> Batch:
    """Every record in order. A bad one becomes a dead letter; its neighbours go on."""
    batch = Batch(tables)
    counts = batch.counts
    for record in records:
        try:
            event = decode(record, rules)
            outcome = _fold(batch, event, record.offset, trees, rules)
            counts[outcome] += 1
            if outcome == "folded" and batch.first_folded is None:
                batch.first_folded = record.offset
        except RejectedEvent as rejected:
            batch.dead_letters.append(dead_letter(record, rejected, source))
            counts["dead"] += 1
    return batch


def dead_letter(record: Record, rejected: RejectedEvent, source: Source) -> DeadLetter:
    """The letter for a rejected record; its id is derived from where the record stands."""
    place = f"{source.topic}/{source.partition}/{record.offset}"
    return DeadLetter.model_construct(
        dead_letter_id=str(uuid.uuid5(_DEAD_LETTERS, place)),
        reason=rejected.reason,
        detail=rejected.detail,
        topic=source.topic,
        partition=source.partition,
        offset=record.offset,
        recorded_at=record.recorded_at,
        key=record.key,
        raw=record.value,
    )


def _fold(batch: Batch, event: LearnerEvent, offset: int, trees: Trees, rules: Rules) -> str:
    """Folds one event into the batch's overlay, unless it was folded before."""
    tables = batch.tables
    user_id = event.user_id
    behavior = tables.behavior(user_id) or Behavior(user_id)
    if offset <= behavior.offset:
        return "replayed"
    reject_too_late(event, behavior, rules.horizon)
    day = seen.day_number(event.occurred_at)
    token = seen.event_token(event.event_id)
    place = seen.find(tables.seen, user_id, day, token)
    if place is None:
        return "repeated"

    course_id = course_of(event, behavior)
    key = f"{user_id}|{course_id}"
    before = Learner(
        profile=tables.profile(user_id) or Profile(user_id),
        behavior=behavior,
        engagement=tables.engagement(key) or Engagement(user_id, course_id),
    )
    after, decisions, examples, chat = step(before, event, trees, rules)
    batch.decisions += decisions
    batch.examples += examples
    if chat is not None:
        batch.chat.append(chat)

    page, content = place
    tables.put_seen(seen.page_key(user_id, day, page), content + token)
    behavior = _at(offset, after.behavior)
    at = bisect_left(behavior.seen_days, day)
    if behavior.seen_days[at : at + 1] != (day,):
        _forget(tables, behavior, day, rules.horizon.days)
    tables.put_behavior(user_id, behavior)
    if after.profile is not before.profile:
        tables.put_profile(user_id, _at(offset, after.profile))
    if after.engagement is not before.engagement:
        tables.put_engagement(key, _at(offset, after.engagement))
    return "folded"


def _forget(tables: Overlay, draft: Behavior, day: int, horizon_days: int) -> None:
    """Adds the day of an event just folded; deletes the pages of days that `reject_too_late` bars.

    Those beyond the horizon before the learner's latest activity. Of the days after it, on which
    only others did something, by another clock perhaps, as many are kept as the horizon has; the
    oldest go, and between the first and the last that went no event of others is taken any more.
    """
    at = draft.last_activity_at
    active = _BEFORE_ALL if at is None else seen.day_number(at)
    # One day of slack: the horizon is counted from an instant, pages are kept by day.
    oldest = active - horizon_days - 1
    days = list(draft.seen_days)  # in order, as they are left here
    insort(days, day)
    ahead = days[bisect_right(days, active) :]
    too_many = max(0, len(ahead) - (horizon_days + 2))
    gone = [d for d in ahead if d != day][:too_many]
    beyond = days[: bisect_left(days, oldest)]
    kept = days[len(beyond) :]
    for old in (*beyond, *gone):
        for key in seen.pages_of(tables.seen, draft.user_id, old):
            tables.put_seen(key, None)
    draft.seen_days = tuple(d for d in kept if d not in gone) if gone else tuple(kept)
    if forgotten := (*draft.forgotten_days, *gone):
        first, last = min(forgotten), max(forgotten)
        draft.forgotten_days = (first, last) if last >= oldest else ()


def _at(offset: int, state: S) -> S:
    """The state, which this step has just made, with the source offset last folded into it."""
    state.offset = offset
    return state
