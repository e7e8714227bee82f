"""Decisions on their way to the query-strategy service, one partition's, as a pure fold.

    answer   ─► success (of a strategy: the learner agent is told) or fail
    decision ─► superseded, if there is a newer one of the same learner and tree ─► sent
    time     ─► timeout ─► sent again, or a dead letter when it was sent often enough

The same state, records and time give the same round. Whoever runs it commits a round as a whole,
and only then puts what has changed into the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from schemas.dead_letter import DeadLetter
from schemas.delivery import UNSENT, Delivery, DeliveryAck, PendingDelivery, ReadPositions
from schemas.errors import RejectedEvent
from schemas.event import StrategyDelivered
from schemas.fields import TREE_IDS
from schemas.topics import ACKS, DECISIONS
from streams.batch import Source, dead_letter
from streams.decode import Record
from streams.delivery_records import (
    decode_ack,
    decode_decision,
    first_attempt,
    never_acknowledged,
    next_attempt,
    strategy_delivered,
    tells_the_learner_agent,
    with_status,
)
from streams.pending_deliveries import PendingDeliveries, pending_key

_LONGEST_WAIT = timedelta(days=7)
MOST_TIMEOUTS = 500
"""In one round: after a long outage everything is due at once, and must fit a transaction."""


class DeliveryRules(NamedTuple):
    """How long an answer may take, and how often is asked: `config.settings.FacilitatorSettings`.

    The n-th attempt may take ``ack_timeout`` × ``backoff``^(n−1), a week at most.
    """

    ack_timeout: timedelta = timedelta(seconds=10)
    backoff: float = 2.0
    attempts: int = 4

    def wait(self, attempt: int) -> timedelta:
        seconds = self.ack_timeout.total_seconds() * self.backoff ** (attempt - 1)
        return timedelta(seconds=min(seconds, _LONGEST_WAIT.total_seconds()))


class Round:
    """What a list of records, and the time, did to the deliveries of one partition.

    ``log``: every new status, in order; what is ``pending`` there is what has to be sent.
    ``changed``: rows of ``pending`` by key, ``None`` for an answered one.
    ``counts``: each status given (``pending``: each sending), and ``not_acknowledged``: given up;
    ``ignored``: an answer to nothing pending (late, repeated, or in the wrong partition);
    ``repeated``: a decision that is pending already; ``replayed``: records of positions that were
    passed before; ``dead``: records that are no decision or answer.
    """

    def __init__(self, table: PendingDeliveries, rules: DeliveryRules, partition: int) -> None:
        self.log: list[Delivery] = []
        self.events: list[StrategyDelivered] = []
        self.dead_letters: list[DeadLetter] = []
        self.changed: dict[str, PendingDelivery | None] = {}
        self.counts: Counter[str] = Counter()
        self._next_decision = table.positions.decisions
        self._next_ack = table.positions.acks
        self._to_send: dict[str, PendingDelivery] = {}
        self._table = table
        self._rules = rules
        self._partition = partition

    @property
    def positions(self) -> ReadPositions:
        """Where to go on reading."""
        return ReadPositions(self._next_decision, self._next_ack)

    def take_answer(self, record: Record, now: datetime) -> None:
        """A record of ``facilitator.acks``."""
        if record.offset < self._next_ack:
            self.counts["replayed"] += 1
            return
        self._next_ack = record.offset + 1
        try:
            ack = decode_ack(record)
        except RejectedEvent as rejected:
            self._dead(record, rejected, ACKS)
            return
        for tree_id in TREE_IDS:
            key = pending_key(ack.user_id, tree_id)
            pending = self._pending(key)
            if pending is not None and pending.delivery.delivery_id == ack.delivery_id:
                self._answered(key, pending.delivery, ack, now)
                return
        self.counts["ignored"] += 1

    def take_decision(self, record: Record, now: datetime) -> None:
        """A record of ``learner.decisions``."""
        if record.offset < self._next_decision:
            self.counts["replayed"] += 1
            return
        self._next_decision = record.offset + 1
        try:
            decision = decode_decision(record)
        except RejectedEvent as rejected:
            self._dead(record, rejected, DECISIONS)
            return
        key = pending_key(decision.user_id, decision.tree_id)
        unsent, pending = self._to_send.get(key), self._pending(key)
        older = unsent or pending
        if older is not None and older.delivery.decision_id == decision.decision_id:
            self.counts["repeated"] += 1
            return
        by = f"by decision {decision.decision_id}"
        if unsent is not None:
            self._say(with_status(self._to_send.pop(key).delivery, "superseded", f"{UNSENT}, {by}"))
        elif pending is not None:
            self._say(with_status(pending.delivery, "superseded", by))
            self.changed[key] = None
        delivery = first_attempt(decision, record.recorded_at, now)
        self._to_send[key] = PendingDelivery(delivery, now + self._rules.wait(1), record.offset)

    def send(self) -> None:
        """The newest decision of each learner and tree; what it has superseded since the round
        began need not be sent any more."""
        for key, row in self._to_send.items():
            self._send(key, row)
        self._to_send = {}

    def take_time(self, until: datetime, now: datetime) -> None:
        """What is due ``until`` then, `MOST_TIMEOUTS` of it. Answers given before come first."""
        for key in self._table.due(until, MOST_TIMEOUTS):
            pending = self._pending(key)
            if pending is None or pending is not self._table.get(key):
                continue  # answered, or superseded, in this very round
            delivery = pending.delivery
            reason = f"no answer until {pending.due_at.isoformat()}"
            timed_out = with_status(delivery, "timeout", reason)
            self._say(timed_out)
            if delivery.attempt < self._rules.attempts:
                due_at = now + self._rules.wait(delivery.attempt + 1)
                again = next_attempt(delivery, now)
                self._send(key, PendingDelivery(again, due_at, pending.decision_offset))
            else:
                self._give_up(key, timed_out, pending.decision_offset)

    def _pending(self, key: str) -> PendingDelivery | None:
        return self.changed[key] if key in self.changed else self._table.get(key)

    def _say(self, delivery: Delivery) -> None:
        self.log.append(delivery)
        self.counts[delivery.response_status] += 1

    def _send(self, key: str, row: PendingDelivery) -> None:
        self._say(row.delivery)
        self.changed[key] = row

    def _answered(self, key: str, sent: Delivery, ack: DeliveryAck, now: datetime) -> None:
        # The service's clock is not ours, and it may have answered an earlier attempt.
        at = max(sent.delivery_timestamp, min(ack.acknowledged_at, now))
        self._say(with_status(sent, ack.status, ack.reason, at))
        self.changed[key] = None
        if ack.status == "success" and tells_the_learner_agent(sent):
            self.events.append(strategy_delivered(sent, max(at, sent.event_at)))

    def _give_up(self, key: str, timed_out: Delivery, offset: int) -> None:
        self.changed[key] = None
        self.counts["not_acknowledged"] += 1
        self.dead_letters.append(never_acknowledged(timed_out, self._partition, offset))

    def _dead(self, record: Record, rejected: RejectedEvent, topic: str) -> None:
        self.counts["dead"] += 1
        self.dead_letters.append(dead_letter(record, rejected, Source(topic, self._partition)))


def deliver(  # noqa: PLR0913, PLR0917
    acks: Iterable[Record],
    decisions: Iterable[Record],
    table: PendingDeliveries,
    rules: DeliveryRules,
    partition: int,
    now: datetime,
    answers_read_until: datetime | None = None,
) -> Round:
    """Answers first, so that none comes too late for having stood on Kafka for a moment.

    ``answers_read_until``: up to when nothing is left unread on ``facilitator.acks``; what was due
    by then is timed out. ``None``: nothing is.
    """
    done = Round(table, rules, partition)
    for record in acks:
        done.take_answer(record, now)
    for record in decisions:
        done.take_decision(record, now)
    done.send()
    if answers_read_until is not None:
        done.take_time(min(answers_read_until, now), now)
    return done
