"""Deliveries as a fold: worked examples, and any interleaving of records, time and restarts."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta

import orjson
import pytest
from example_streams.decided import LEARNERS, START, answer, decision, delivery_id_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import asdict

from schemas.contract import encode
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.decision import Decision
from schemas.delivery import Delivery, PendingDelivery, ReadPositions, delivery_adapter
from schemas.fields import TreeId
from streams.decode import Record
from streams.delivery import MOST_TIMEOUTS, DeliveryRules, Round, deliver
from streams.pending_deliveries import PendingDeliveries, pending_key

RULES = DeliveryRules(timedelta(seconds=10), 2.0, 3)
STRATEGY: TreeId = "intervention_strategy"
LABEL: TreeId = "primary_classification"


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def record_of(decided: Decision, offset: int, at: datetime = START) -> Record:
    return Record(offset, decided.user_id.encode(), encode(decided), at)


def ack_record(raw: bytes, offset: int, key: str = LEARNERS[0]) -> Record:
    return Record(offset, key.encode(), raw, START)


class Partition:
    """A partition whose every round is committed at once."""

    def __init__(self, rules: DeliveryRules = RULES) -> None:
        self.table = PendingDeliveries()
        self.rules = rules
        self.rounds: list[Round] = []
        self._offset = 0

    def decide(self, *decided: Decision, now: datetime = START, at: datetime = START) -> Round:
        return self._round(decisions=[record_of(d, self._next(), at) for d in decided], now=now)

    def answer(self, *raw: bytes, now: datetime = START, key: str = LEARNERS[0]) -> Round:
        return self._round(acks=[ack_record(r, self._next(), key) for r in raw], now=now)

    def wait(self, now: datetime) -> Round:
        return self._round(now=now, until=now)

    def _next(self) -> int:
        self._offset += 1
        return self._offset

    def _round(
        self,
        acks: list[Record] | None = None,
        decisions: list[Record] | None = None,
        now: datetime = START,
        until: datetime | None = None,
    ) -> Round:
        done = deliver(acks or [], decisions or [], self.table, self.rules, 3, now, until)
        self.table.apply(done.changed)
        self.table.positions = done.positions
        self.rounds.append(done)
        return done


def said(done: Round) -> list[tuple[str, int]]:
    return [(delivery.response_status, delivery.attempt) for delivery in done.log]


def test_a_decision_is_delivered_with_what_the_service_needs() -> None:
    decided = decision(1, at=START - seconds(2), previous_label="Encouragement")
    (sent,) = Partition().decide(decided, at=START - seconds(0.5)).log
    assert delivery_adapter.validate_json(encode(sent)) == sent
    assert sent.delivery_id == delivery_id_of(decided)
    assert (sent.attempt, sent.response_status, sent.responded_at) == (1, "pending", None)
    assert (sent.latency_ms, sent.decision_latency_ms) == (2000, 500)
    assert sent.llm_prompt_summary == decided.llm_prompt_output
    assert (sent.strategy_label, sent.previous_label) == ("Worked Examples", "Encouragement")
    assert sent.event_source == decided.event_source
    assert sent.trace_id in sent.traceparent == decided.traceparent
    assert not sent.cache_hit


def test_clocks_that_differ_make_no_negative_latency() -> None:
    ahead = START + seconds(30)
    partition = Partition()
    (sent,) = partition.decide(decision(1, at=ahead), at=ahead).log
    assert (sent.latency_ms, sent.decision_latency_ms) == (0, 0)
    early = partition.answer(answer(decision(1), at=START - timedelta(days=1)))
    assert early.log[0].responded_at == sent.delivery_timestamp
    partition.decide(decision(2))
    late = partition.answer(answer(decision(2), at=START + timedelta(days=1)), now=ahead)
    assert late.log[0].responded_at == ahead


def test_success_is_final_and_tells_the_learner_agent_of_a_strategy() -> None:
    partition = Partition()
    decided = decision(1)
    partition.decide(decided)
    done = partition.answer(answer(decided, at=START + seconds(1)), now=START + seconds(2))
    assert said(done) == [("success", 1)]
    (event,) = done.events
    assert event.type == "strategy.delivered"
    assert (event.user_id, event.course_id) == (decided.user_id, decided.course_id)
    assert (event.decision_id, event.strategy_label) == (decided.decision_id, "Worked Examples")
    assert (event.occurred_at, event.source) == (START + seconds(1), "facilitator")
    assert event.traceparent == decided.traceparent
    assert not len(partition.table)
    assert not partition.wait(START + timedelta(days=1)).log


@pytest.mark.parametrize(
    "decided",
    [
        decision(1, tree_id=LABEL),
        decision(1, course_id=""),
    ],
    ids=["a label", "what is outside any course"],
)
def test_no_event_is_made_of(decided: Decision) -> None:
    partition = Partition()
    partition.decide(decided)
    done = partition.answer(answer(decided))
    assert said(done) == [("success", 1)]
    assert not done.events


def test_an_event_never_precedes_its_cause() -> None:
    partition = Partition()
    decided = decision(1, at=START + seconds(60))
    partition.decide(decided)
    assert partition.answer(answer(decided)).events[0].occurred_at == START + seconds(60)


def test_fail_is_final_with_its_reason() -> None:
    partition = Partition()
    partition.decide(decision(1))
    done = partition.answer(answer(decision(1), "fail"))
    assert [(d.response_status, d.response_reason) for d in done.log] == [
        ("fail", "no room for it")
    ]
    assert not done.events
    assert partition.answer(answer(decision(1))).counts == {"ignored": 1}


def test_a_reason_of_one_line_is_kept_for_stores_and_terminals() -> None:
    partition = Partition()
    partition.decide(decision(1))
    (told,) = partition.answer(answer(decision(1), "fail", reason="no\0 \x1b[31mroom\n")).log
    assert told.response_reason == "no   [31mroom "


def test_no_answer_in_time_is_sent_again_later_each_time_then_a_dead_letter() -> None:
    partition = Partition()
    decided = decision(1)
    partition.decide(decided, at=START - seconds(0.1))
    assert not partition.wait(START + seconds(9)).log
    second = partition.wait(START + seconds(10))
    assert said(second) == [("timeout", 1), ("pending", 2)]
    assert second.log[1].delivery_id == second.log[0].delivery_id
    assert second.log[1].delivery_timestamp == START + seconds(10)
    assert second.log[1].decision_latency_ms == 10_100
    assert not partition.wait(START + seconds(29)).log
    assert said(partition.wait(START + seconds(31))) == [("timeout", 2), ("pending", 3)]
    last = partition.wait(START + seconds(80))
    assert said(last) == [("timeout", 3)]
    (letter,) = last.dead_letters
    letter = DeadLetter.model_validate_json(letter.model_dump_json())
    assert letter.reason is DeadLetterReason.NOT_ACKNOWLEDGED
    assert (letter.topic, letter.partition, letter.offset) == ("learner.decisions", 3, 1)
    assert letter.key == decided.user_id.encode()
    assert delivery_adapter.validate_json(letter.raw) == last.log[0]
    assert not len(partition.table)
    assert partition.answer(answer(decided)).counts == {"ignored": 1}


def test_an_answer_to_an_earlier_attempt_counts() -> None:
    partition = Partition()
    partition.decide(decision(1))
    partition.wait(START + seconds(10))
    done = partition.answer(answer(decision(1), at=START + seconds(9)), now=START + seconds(11))
    assert said(done) == [("success", 2)]
    assert done.log[0].responded_at == START + seconds(10)


def test_an_answer_that_stood_on_kafka_in_time_is_no_timeout() -> None:
    partition = Partition()
    partition.decide(decision(1))
    later = START + timedelta(hours=1)
    done = deliver(
        [ack_record(answer(decision(1)), 9)], [], partition.table, RULES, 3, later, later
    )
    assert said(done) == [("success", 1)]
    assert not deliver([], [], partition.table, RULES, 3, later, START + seconds(9)).log
    assert not deliver([], [], partition.table, RULES, 3, later, None).log


def test_a_newer_decision_supersedes_and_says_which() -> None:
    partition = Partition()
    old, new, label = decision(1), decision(2), decision(3, tree_id=LABEL)
    partition.decide(old, label)
    done = partition.decide(new)
    assert said(done) == [("superseded", 1), ("pending", 1)]
    assert done.log[0].decision_id == old.decision_id
    assert done.log[0].response_reason == f"by decision {new.decision_id}"
    assert partition.answer(answer(old)).counts == {"ignored": 1}
    assert said(partition.answer(answer(label))) == [("success", 1)]
    assert said(partition.answer(answer(new))) == [("success", 1)]


def test_of_a_learner_s_decisions_in_one_round_only_the_last_is_sent() -> None:
    partition = Partition()
    partition.decide(decision(0))
    done = partition.decide(
        decision(1), decision(5, LEARNERS[1]), decision(2), decision(2), decision(3)
    )
    assert said(done) == [*(("superseded", 1),) * 3, ("pending", 1), ("pending", 1)]
    assert [d.response_reason for d in done.log[:3]] == [
        f"by decision {decision(1).decision_id}",
        f"unsent, by decision {decision(2).decision_id}",
        f"unsent, by decision {decision(3).decision_id}",
    ]
    assert [d.user_id for d in done.log[3:]] == [LEARNERS[1], LEARNERS[0]]
    assert done.counts == {"superseded": 3, "pending": 2, "repeated": 1}
    assert len(partition.table) == 2


def test_what_was_read_before_changes_nothing() -> None:
    partition = Partition()
    first, second = record_of(decision(1), 10), record_of(decision(2), 20)
    for records in ([first, second], [first, second], [first]):
        done = deliver([], records, partition.table, RULES, 3, START)
        partition.table.apply(done.changed)
        partition.table.positions = done.positions
        partition.rounds.append(done)
    assert [said(done) for done in partition.rounds[1:]] == [[], []]
    assert partition.rounds[1].counts == {"replayed": 2}
    assert partition.table.positions == ReadPositions(decisions=21, acks=0)
    taken = deliver([ack_record(answer(decision(2)), 5)], [], partition.table, RULES, 3, START)
    assert said(taken) == [("success", 1)]
    partition.table.positions = taken.positions
    again = deliver([ack_record(answer(decision(2)), 5)], [], partition.table, RULES, 3, START)
    assert again.counts == {"replayed": 1}


def test_a_decision_that_stands_twice_on_the_topic_is_sent_once() -> None:
    partition = Partition()
    partition.decide(decision(1))
    assert partition.decide(decision(1)).counts == {"repeated": 1}


BAD_ANSWERS: dict[str, tuple[bytes, DeadLetterReason]] = {
    "not JSON": (b"{", DeadLetterReason.NOT_JSON),
    "nothing": (b"", DeadLetterReason.NOT_JSON),
    "not UTF-8": (b'"\xff"', DeadLetterReason.NOT_UTF8),
    "no object": (b"[]", DeadLetterReason.INVALID_VALUE),
    "a status of its own": (answer(decision(1), "later"), DeadLetterReason.INVALID_VALUE),
    "no status": (
        orjson.dumps({"delivery_id": delivery_id_of(decision(1))}),
        DeadLetterReason.MISSING_FIELD,
    ),
    "more than is asked": (answer(decision(1), attempt=1), DeadLetterReason.UNKNOWN_FIELD),
    "a local time": (
        answer(decision(1), acknowledged_at="2026-03-02T09:00:00+01:00"),
        DeadLetterReason.INVALID_VALUE,
    ),
    "too long a reason": (answer(decision(1), reason="x" * 501), DeadLetterReason.INVALID_VALUE),
    "of somebody else": (
        answer(decision(1), user_id=LEARNERS[1]),
        DeadLetterReason.KEY_MISMATCH,
    ),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_is_a_dead_letter_and_changes_nothing(name: str) -> None:
    raw, reason = BAD_ANSWERS[name]
    partition = Partition()
    partition.decide(decision(1))
    done = partition.answer(raw)
    (letter,) = done.dead_letters
    assert (letter.reason, letter.topic, letter.partition) == (reason, "facilitator.acks", 3)
    assert letter.raw == raw
    assert not done.log
    assert said(partition.answer(answer(decision(1)))) == [("success", 1)]


@pytest.mark.parametrize(
    "raw",
    [b"{", b"", b"[]", b"null", b'{"decision_id": 1}', encode(decision(1)).replace(b"1", b'"', 1)],
)
def test_a_record_that_is_no_decision_is_a_dead_letter(raw: bytes) -> None:
    table = PendingDeliveries()
    done = deliver([], [Record(0, b"", raw, START)], table, RULES, 3, START)
    assert [letter.topic for letter in done.dead_letters] == ["learner.decisions"]
    assert not done.log
    assert done.positions.decisions == 1


def test_decisions_of_a_newer_worker_with_more_to_them_are_delivered() -> None:
    raw = encode({**asdict(decision(1)), "mood": {"of": "tomorrow"}})
    record = Record(0, LEARNERS[0].encode(), raw, START)
    assert said(deliver([], [record], PendingDeliveries(), RULES, 3, START)) == [("pending", 1)]


def test_a_wait_is_bounded_however_the_settings_are() -> None:
    rules = DeliveryRules(timedelta(days=1), 10.0, 20)
    assert [rules.wait(1), rules.wait(20)] == [timedelta(days=1), timedelta(days=7)]


def test_after_a_long_outage_what_is_due_comes_in_rounds_the_oldest_first() -> None:
    partition = Partition(DeliveryRules(attempts=1))
    for number in range(MOST_TIMEOUTS + 20):
        user_id = LEARNERS[0][:-4] + f"{number:04d}"
        partition.decide(decision(number, user_id), now=START + seconds(number))
    later = START + timedelta(days=1)
    first, second, third = (partition.wait(later) for _ in range(3))
    assert (len(first.log), len(second.log), len(third.log)) == (MOST_TIMEOUTS, 20, 0)
    sent_at = [delivery.delivery_timestamp for delivery in (*first.log, *second.log)]
    assert sent_at == sorted(sent_at)


def test_timers_of_what_was_answered_do_not_pile_up() -> None:
    partition = Partition(DeliveryRules(ack_timeout=timedelta(days=1)))
    partition.decide(decision(0, LEARNERS[1]))
    for number in range(1, 5_000):
        partition.decide(decision(number))
        partition.answer(answer(decision(number)))
    assert len(partition.table) == 1
    assert len(partition.table._timers) < 1_100
    assert partition.table.next_due_at == START + timedelta(days=1)


KEYS: tuple[tuple[str, TreeId], ...] = (
    (LEARNERS[0], STRATEGY),
    (LEARNERS[0], LABEL),
    (LEARNERS[1], STRATEGY),
)


class AnyInterleaving(RuleBasedStateMachine):
    """Decisions, answers, time, restarts, rounds that came to nothing, in any order.

    What is committed: the rows, the positions, and what was said on the log.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.decided: list[Decision] = []
        self.decisions: list[Record] = []
        self.acks: list[Record] = []
        self.table = PendingDeliveries()
        self.rows: dict[str, PendingDelivery] = {}
        self.log: list[Delivery] = []
        self.letters: list[DeadLetter] = []
        self.events: list[str] = []

    @rule(key=st.sampled_from(KEYS))
    def decide(self, key: tuple[str, TreeId]) -> None:
        decided = decision(len(self.decided), *key, at=self.now)
        self.decided.append(decided)
        self.decisions.append(record_of(decided, 2 * len(self.decisions), self.now))

    @precondition(lambda self: self.decided)
    @rule(data=st.data(), status=st.sampled_from(("success", "fail")), skew=st.integers(-99, 99))
    def answer(self, data: st.DataObject, status: str, skew: int) -> None:
        decided = data.draw(st.sampled_from(self.decided))
        raw = answer(decided, status, self.now + seconds(skew))
        self.acks.append(Record(3 * len(self.acks), decided.user_id.encode(), raw, self.now))

    @rule(raw=st.binary(max_size=9))
    def answer_badly(self, raw: bytes) -> None:
        self.acks.append(Record(3 * len(self.acks), b"?", raw, self.now))

    @rule(passed=st.sampled_from((0.0, 0.1, 3.0, 10.0, 50.0, -2.0)))
    def time_passes(self, passed: float) -> None:
        self.now += seconds(passed)

    @rule(
        acks=st.integers(0, 4),
        decisions=st.integers(0, 4),
        back=st.integers(0, 3),
        committed=st.sampled_from((True, True, True, False)),
    )
    def work(self, acks: int, decisions: int, back: int, committed: bool) -> None:
        """A round over what is next on both topics, read from ``back`` records too early."""
        at = self.table.positions
        unread = [r for r in self.acks if r.offset >= at.acks]
        until = self.now if acks >= len(unread) else None
        done = deliver(
            _from(self.acks, at.acks, back, acks),
            _from(self.decisions, at.decisions, back, decisions),
            self.table,
            RULES,
            0,
            self.now,
            until,
        )
        if committed:
            self._commit(done)
        else:
            self.restart()

    @rule()
    def restart(self) -> None:
        """The table as it comes back from its changelog, in any order of keys."""
        positions = self.table.positions
        self.table = PendingDeliveries()
        self.table.apply(dict(reversed(self.rows.items())))
        self.table.positions = positions

    def _commit(self, done: Round) -> None:
        self.table.apply(done.changed)
        self.table.positions = done.positions
        for key, row in done.changed.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        self.log += done.log
        for delivery in done.log:
            if delivery.response_status == "timeout":
                waited = self.now - delivery.delivery_timestamp
                assert waited >= RULES.wait(delivery.attempt)
        self.letters += done.dead_letters
        self.events += [event.decision_id for event in done.events]

    @invariant()
    def what_is_said_of_each_is_in_order(self) -> None:
        ways: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for delivery in self.log:
            ways[delivery.decision_id].append((delivery.response_status, delivery.attempt))
            assert delivery.latency_ms >= 0
            assert delivery.decision_latency_ms >= 0
            if delivery.responded_at is not None:
                assert delivery.responded_at >= delivery.delivery_timestamp
        for way in ways.values():
            if way == [("superseded", 1)]:
                continue  # before it was sent
            sendings = [step for step in way if step[0] == "pending"]
            assert sendings == [("pending", n) for n in range(1, len(sendings) + 1)]
            assert len(sendings) <= RULES.attempts
            for sending, outcome in zip(way[::2], way[1::2], strict=False):
                assert sending[0] == "pending"
                assert outcome[1] == sending[1]
                assert outcome[0] != "pending"
            finals = [n for n, step in enumerate(way) if _final(step)]
            assert finals in ([], [len(way) - 1])

    @invariant()
    def rows_are_what_is_open(self) -> None:
        last = {delivery.decision_id: delivery for delivery in self.log}
        open_ = {
            pending_key(d.user_id, d.decision_tree_id): d
            for d in last.values()
            if d.response_status == "pending"
        }
        assert {key: row.delivery for key, row in self.rows.items()} == open_
        assert len(self.table) == len(self.rows)

    @invariant()
    def only_newer_decisions_supersede(self) -> None:
        numbers = {decided.decision_id: n for n, decided in enumerate(self.decided)}
        for delivery in self.log:
            if delivery.response_status == "superseded":
                by = numbers[delivery.response_reason.split()[-1]]
                older = numbers[delivery.decision_id]
                assert by > older
                assert self.decided[by].user_id == delivery.user_id
                assert self.decided[by].tree_id == delivery.decision_tree_id

    def teardown(self) -> None:
        """Once everything is read and enough time has passed, each has one final status."""
        self.work(len(self.acks), len(self.decisions), 0, committed=True)
        for _ in range(RULES.attempts + 1):
            self.now += timedelta(minutes=5)
            self.work(0, 0, 0, committed=True)
        self.what_is_said_of_each_is_in_order()
        finals = Counter(d.decision_id for d in self.log if _final((d.response_status, d.attempt)))
        assert finals == {decided.decision_id: 1 for decided in self.decided}
        unanswered = {d.delivery_id for d in self.log if _unanswered(d)}
        given_up = [letter for letter in self.letters if letter.key != b"?"]
        assert {delivery_adapter.validate_json(x.raw).delivery_id for x in given_up} == unanswered
        assert len(given_up) == len(unanswered)
        successes = [
            d.decision_id
            for d in self.log
            if d.response_status == "success" and d.decision_tree_id == STRATEGY
        ]
        assert self.events == successes


def _from(records: list[Record], position: int, back: int, count: int) -> list[Record]:
    first = sum(record.offset < position for record in records)
    return records[max(0, first - back) : first + count]


def _final(step: tuple[str, int]) -> bool:
    return step[0] in {"success", "fail", "superseded"} or step == ("timeout", RULES.attempts)


def _unanswered(delivery: Delivery) -> bool:
    return (delivery.response_status, delivery.attempt) == ("timeout", RULES.attempts)


TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleaving.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
