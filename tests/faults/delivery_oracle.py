"""What must be on Kafka once every decision that stands there has been dealt with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from confluent_kafka import Message

from agents import topics
from config.settings import Settings
from faults.committed_records import committed_records
from faults.in_order import compare_in_order
from faults.log_oracle import Compared, Difference
from streams.derived_id import derived_id

_Records = list[dict[str, Any]]
FINAL = {"success", "fail", "superseded"}


@dataclass
class Deliveries:
    """Everything that decisions, answers and the facilitator have left, by partition."""

    attempts: int
    decisions: dict[int, _Records]
    log: dict[int, _Records]
    sent: dict[int, _Records]
    acks: dict[int, _Records]
    events: dict[int, _Records]
    letters: dict[int, _Records]

    def final_statuses(self) -> Counter[str]:
        """``timeout``: given up."""
        return Counter(
            record["response_status"] for record in _all(self.log) if self._is_final(record)
        )

    def open(self) -> int:
        """Decisions without a final status."""
        return sum(map(len, self.decisions.values())) - sum(self.final_statuses().values())

    def compared(self) -> Compared:
        """Each decision was sent in its turn, and has come to one end, for a reason."""
        found = Compared(sum(map(len, self.decisions.values())), [], [], [])
        for partition, decided in self.decisions.items():
            log, place = self.log[partition], f"partition {partition}"
            self._compare_sent(decided, log, self.sent[partition], found, place)
            self._compare_ways(decided, log, found, place)
            _compare_superseded(decided, log, found, place)
            _compare_answered(self.acks[partition], log, found, place)
            self._compare_told(partition, log, found, place)
        return found

    def _is_final(self, record: dict[str, Any]) -> bool:
        status = record["response_status"]
        return status in FINAL or (status == "timeout" and record["attempt"] == self.attempts)

    @staticmethod
    def _compare_sent(
        decided: _Records, log: _Records, sent: _Records, found: Compared, place: str
    ) -> None:
        """Whatever the log calls pending, once; the first time in the order of the decisions."""
        pending = [_sending(r) for r in log if r["response_status"] == "pending"]
        compare_in_order(found, "sending", pending, list(map(_sending, sent)), place)
        unsent = {record["decision_id"] for record in log if _is_unsent(record)}
        ids = [decision["decision_id"] for decision in decided]
        must = [id_ for id_ in ids if id_ not in unsent]
        first = [record["decision_id"] for record in sent if record["attempt"] == 1]
        compare_in_order(found, "first sending", must, first, place)

    def _compare_ways(self, decided: _Records, log: _Records, found: Compared, place: str) -> None:
        ways: dict[str, _Records] = {decision["decision_id"]: [] for decision in decided}
        for record in log:
            ways.setdefault(record["decision_id"], []).append(record)
        for decision_id, way in ways.items():
            steps = [f"{record['response_status']} {record['attempt']}" for record in way]
            told = Difference(f"end of {' → '.join(steps)}", decision_id, place)
            ends = sum(map(self._is_final, way))
            if ends == 0:
                found.lost.append(told)
            elif ends > 1:
                found.doubled.append(told)
            elif not self._is_way(way, steps):
                found.different.append(told)

    def _is_way(self, way: _Records, steps: list[str]) -> bool:
        """pending, timeout, pending, timeout, …, and one end; no sending after it. Only an end, if
        it was superseded before it was sent."""
        if _is_unsent(way[0]):
            return steps == ["superseded 1"]
        tried = len(way) // 2
        return (
            steps[::2] == [f"pending {n}" for n in range(1, tried + 1)]
            and steps[1:-1:2] == [f"timeout {n}" for n in range(1, tried)]
            and self._is_final(way[-1])
            and way[-1]["attempt"] == tried <= self.attempts
            and len({record["delivery_id"] for record in way}) == 1
        )

    def _compare_told(self, partition: int, log: _Records, found: Compared, place: str) -> None:
        """An event for each strategy that was taken, a dead letter for each that was given up."""
        taken = [
            record["decision_id"]
            for record in log
            if record["response_status"] == "success"
            and record["decision_tree_id"] == "intervention_strategy"
        ]
        told = [event["decision_id"] for event in self.events[partition]]
        compare_in_order(found, "strategy.delivered", taken, told, place)
        given_up = [
            derived_id(record["delivery_id"], "not_acknowledged")
            for record in log
            if record["response_status"] == "timeout" and self._is_final(record)
        ]
        letters = [letter["dead_letter_id"] for letter in self.letters[partition]]
        compare_in_order(found, "dead letter", given_up, letters, place)


def _compare_superseded(decided: _Records, log: _Records, found: Compared, place: str) -> None:
    """By the next one of the same learner and tree."""
    next_of: dict[str, str] = {}
    latest: dict[tuple[str, str], str] = {}
    for decision in decided:
        key = decision["user_id"], decision["tree_id"]
        if key in latest:
            next_of[latest[key]] = decision["decision_id"]
        latest[key] = decision["decision_id"]
    found.different.extend(
        Difference(f"superseded, {record['response_reason']}", record["decision_id"], place)
        for record in log
        if record["response_status"] == "superseded"
        and not record["response_reason"].endswith(next_of.get(record["decision_id"], "nobody"))
    )


def _compare_answered(acks: _Records, log: _Records, found: Compared, place: str) -> None:
    """As the service said first."""
    said: dict[str, str] = {}
    for ack in acks:
        said.setdefault(ack["delivery_id"], ack["status"])
    found.different.extend(
        Difference(f"{record['response_status']}, not as answered", record["decision_id"], place)
        for record in log
        if record["response_status"] in {"success", "fail"}
        and record["response_status"] != said.get(record["delivery_id"])
    )


def _is_unsent(record: dict[str, Any]) -> bool:
    return bool(record["response_reason"].startswith("unsent"))


def _sending(record: dict[str, Any]) -> str:
    return orjson.dumps(record).decode()


def deliveries_on_kafka(settings: Settings) -> Deliveries:
    """Until now, read in this order: once the log says that nothing is open, nothing is added to
    what follows."""
    kafka = settings.kafka
    read = [
        committed_records(kafka.bootstrap_servers, topic, kafka.partitions)
        for topic in (
            *(topics.DECISIONS, topics.DELIVERY_LOG, topics.DELIVERIES, topics.ACKS),
            *(topics.EVENTS, topics.DEAD_LETTERS),
        )
    ]
    values = [{p: _values(messages) for p, messages in found.items()} for found in read]
    return Deliveries(settings.facilitator.attempts, *values)


def _values(messages: list[Message]) -> _Records:
    return [orjson.loads(message.value() or b"") for message in messages]


def _all(by_partition: dict[int, _Records]) -> Iterable[dict[str, Any]]:
    return (record for records in by_partition.values() for record in records)
