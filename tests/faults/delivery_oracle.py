"""What must be on Kafka once every decision that stands there has been dealt with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import orjson
from confluent_kafka import Message

from agents import topics
from config.settings import Settings
from faults.committed_records import committed_records

FINAL = {"success", "fail", "superseded"}


class DeliveriesOnKafka:
    """Everything that decisions, answers and the facilitator have left on Kafka until now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.attempts = settings.facilitator.attempts
        # In this order: once the log says that nothing is open, nothing is added to what follows.
        self.decisions = self._read(topics.DECISIONS)
        self.log = self._read(topics.DELIVERY_LOG)
        self.sent = self._read(topics.DELIVERIES)
        self.acks = self._read(topics.ACKS)
        self.events = self._read(topics.EVENTS)
        self.letters = self._read(topics.DEAD_LETTERS)

    def _read(self, topic: str) -> dict[int, list[dict[str, Any]]]:
        kafka = self._settings.kafka
        found = committed_records(kafka.bootstrap_servers, topic, kafka.partitions)
        return {partition: _values(messages) for partition, messages in found.items()}

    def final_statuses(self) -> Counter[str]:
        """``timeout``: given up."""
        return Counter(
            record["response_status"] for record in _all(self.log) if self._is_final(record)
        )

    def open(self) -> int:
        """Decisions without a final status."""
        return sum(map(len, self.decisions.values())) - sum(self.final_statuses().values())

    def assert_exact(self) -> None:
        """Each decision was sent in its turn, and has come to one end, for a reason."""
        for partition, decided in self.decisions.items():
            log, sent = self.log[partition], self.sent[partition]
            assert sent == [r for r in log if r["response_status"] == "pending"]
            unsent = {
                record["decision_id"]
                for record in log
                if record["response_reason"].startswith("unsent")
            }
            first = [record["decision_id"] for record in sent if record["attempt"] == 1]
            ids = [decision["decision_id"] for decision in decided]
            assert first == [decision_id for decision_id in ids if decision_id not in unsent]
            self._assert_ways(log)
            self._assert_superseded(decided, log)
            self._assert_answered(self.acks[partition], log)
            self._assert_told(partition, log)

    def _is_final(self, record: dict[str, Any]) -> bool:
        status = record["response_status"]
        return status in FINAL or (status == "timeout" and record["attempt"] == self.attempts)

    def _assert_ways(self, log: list[dict[str, Any]]) -> None:
        """pending, timeout, pending, timeout, …, and one end; no sending after it. Only an end, if
        it was superseded before it was sent."""
        ways: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for record in log:
            ways[record["decision_id"]].append(record)
        for way in ways.values():
            steps = [(record["response_status"], record["attempt"]) for record in way]
            if way[0]["response_reason"].startswith("unsent"):
                assert steps == [("superseded", 1)]
                continue
            tried = len(way) // 2
            assert steps[::2] == [("pending", n) for n in range(1, tried + 1)], steps
            assert steps[1:-1:2] == [("timeout", n) for n in range(1, tried)], steps
            assert [self._is_final(record) for record in way].index(True) == len(way) - 1, steps
            assert steps[-1][1] == tried <= self.attempts, steps
            assert len({record["delivery_id"] for record in way}) == 1

    @staticmethod
    def _assert_superseded(decided: list[dict[str, Any]], log: list[dict[str, Any]]) -> None:
        """By the next one of the same learner and tree."""
        next_of: dict[str, str] = {}
        latest: dict[tuple[str, str], str] = {}
        for decision in decided:
            key = decision["user_id"], decision["tree_id"]
            if key in latest:
                next_of[latest[key]] = decision["decision_id"]
            latest[key] = decision["decision_id"]
        for record in log:
            if record["response_status"] == "superseded":
                assert record["response_reason"].endswith(next_of[record["decision_id"]])

    @staticmethod
    def _assert_answered(acks: list[dict[str, Any]], log: list[dict[str, Any]]) -> None:
        """As the service said first."""
        said: dict[str, str] = {}
        for ack in acks:
            said.setdefault(ack["delivery_id"], ack["status"])
        for record in log:
            if record["response_status"] in {"success", "fail"}:
                assert record["response_status"] == said[record["delivery_id"]]

    def _assert_told(self, partition: int, log: list[dict[str, Any]]) -> None:
        """An event for each strategy that was taken, a dead letter for each that was given up."""
        told = [event["decision_id"] for event in self.events[partition]]
        assert told == [
            record["decision_id"]
            for record in log
            if record["response_status"] == "success"
            and record["decision_tree_id"] == "intervention_strategy"
        ]
        given_up = [r for r in log if r["response_status"] == "timeout" and self._is_final(r)]
        assert len(self.letters[partition]) == len(given_up)
        assert {letter["reason"] for letter in self.letters[partition]} <= {"not_acknowledged"}


def _values(messages: list[Message]) -> list[dict[str, Any]]:
    return [orjson.loads(message.value() or b"") for message in messages]


def _all(by_partition: dict[int, list[dict[str, Any]]]) -> Iterable[dict[str, Any]]:
    return (record for records in by_partition.values() for record in records)
