"""The worker on a real Kafka: what it does with bad records, new trees and missing topics."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from agents import topics
from agents.partition_tables import POSITION_KEY
from agents.worker import run_worker
from config.seed_trees import seed_trees
from config.settings import Settings
from faults.command_process import CommandProcess
from faults.committed_records import committed_records, lag
from faults.log_oracle import compare_with_replay
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.errors import BrokerUnavailable
from schemas.tree import Leaf
from servers.kafka_topics import delete_topics

USER = "0b9d7c1e-6a52-4a53-9a6b-2f3a5e8d1c77"
SECONDS = 30


def answer(number: int, **changes: Any) -> bytes:
    """A graded answer of the one learner."""
    event = {
        "event_id": f"8a4f0a3c-2f5b-4f1e-8a77-{number:012d}",
        "type": "quiz.submitted",
        "user_id": USER,
        "course_id": "algebra",
        "occurred_at": f"2026-03-01T10:{number % 60:02d}:00Z",
        "question_id": f"q{number}",
        "score": 0.5,
    }
    return json.dumps({**event, **changes}).encode()


def send(
    settings: Settings, values: list[bytes], key: str = USER, compression: str = "none"
) -> None:
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "message.max.bytes": 4_000_000,
            "compression.type": compression,
        }
    )
    for value in values:
        producer.produce(topics.EVENTS, value=value, key=key)
    assert producer.flush(30) == 0


def records(settings: Settings, topic: str) -> list[dict[str, Any]]:
    kafka = settings.kafka
    partitions = committed_records(kafka.bootstrap_servers, topic, kafka.partitions).values()
    return [orjson.loads(message.value()) for messages in partitions for message in messages]


def decided(settings: Settings) -> set[str]:
    """The events that a decision followed."""
    return {record["event_id"] for record in records(settings, topics.DECISIONS)}


def until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < ends, "it did not come in time"
        time.sleep(0.2)


BAD: dict[str, tuple[bytes, DeadLetterReason]] = {
    "not JSON": (b"{bad", DeadLetterReason.NOT_JSON),
    "not UTF-8": (b'{"type": "\xff"}', DeadLetterReason.NOT_UTF8),
    "a wrong type": (answer(901, score="high"), DeadLetterReason.INVALID_VALUE),
    "an unknown type": (answer(902, type="quiz.sneezed"), DeadLetterReason.UNKNOWN_TYPE),
    "an unknown field": (answer(903, mood="good"), DeadLetterReason.UNKNOWN_FIELD),
    "NaN": (answer(904, score=float("nan")), DeadLetterReason.INVALID_VALUE),
    "a missing user": (b'{"type": "quiz.submitted"}', DeadLetterReason.MISSING_FIELD),
    "a time from the future": (
        answer(905, occurred_at="2999-01-01T00:00:00Z"),
        DeadLetterReason.FROM_THE_FUTURE,
    ),
    "a 2 MB record": (answer(906, question_id="x" * 2_000_000), DeadLetterReason.TOO_LARGE),
    "1,000-deep nesting": (b"[" * 1000 + b"]" * 1000, DeadLetterReason.NOT_JSON),
    "nothing": (b"", DeadLetterReason.NOT_JSON),
    "somebody else's key": (
        answer(907, user_id="ffffffff-6a52-4a53-9a6b-2f3a5e8d1c77"),
        DeadLetterReason.KEY_MISMATCH,
    ),
    "too late to be judged": (
        answer(908, occurred_at="2025-03-01T10:00:00Z"),
        DeadLetterReason.TOO_LATE,
    ),
}


def test_bad_records_become_dead_letters_and_their_neighbours_go_on(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    values = [answer(0)]
    for number, (bad, _) in enumerate(BAD.values(), 1):
        values += [bad, answer(number)]
    send(fresh_kafka, values)
    worker = CommandProcess("worker", fresh_kafka, tmp_path / "worker.log")
    try:
        until(lambda: len(records(fresh_kafka, topics.DEAD_LETTERS)) >= len(BAD))
        assert worker.alive
        assert worker.terminate() == 0
    finally:
        worker.kill()
    letters = [DeadLetter.model_validate(r) for r in records(fresh_kafka, topics.DEAD_LETTERS)]
    by_raw = {letter.raw: letter for letter in letters}
    assert len(letters) == len(BAD)
    for name, (raw, reason) in BAD.items():
        assert by_raw[raw].reason is reason, name
        assert by_raw[raw].topic == topics.EVENTS, name
        assert by_raw[raw].key == USER.encode(), name
    assert len(decided(fresh_kafka)) == len(BAD) + 1
    kafka = fresh_kafka.kafka
    compared = compare_with_replay(
        kafka.bootstrap_servers, kafka.partitions, fresh_kafka.worker.app_id
    )
    compared.assert_exact()


def test_an_lms_may_compress_by_each_of_kafkas_codecs(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    codecs = ("gzip", "snappy", "lz4", "zstd")
    for number, codec in enumerate(codecs):
        some = range(10 * number, 10 * number + 10)
        send(fresh_kafka, [answer(one) for one in some], compression=codec)
    worker = CommandProcess("worker", fresh_kafka, tmp_path / "worker.log")
    try:
        until(lambda: len(decided(fresh_kafka)) == 10 * len(codecs))
    finally:
        worker.kill()


def test_a_record_sent_twice_counts_once(fresh_kafka: Settings, tmp_path: Path) -> None:
    send(fresh_kafka, [answer(1), answer(2), answer(1), answer(2)])
    worker = CommandProcess("worker", fresh_kafka, tmp_path / "worker.log")
    try:
        until(lambda: len(records(fresh_kafka, topics.DECISIONS)) >= 4)
        send(fresh_kafka, [answer(1), answer(3)])
        until(lambda: len(records(fresh_kafka, topics.DECISIONS)) >= 6)
        assert worker.terminate() == 0
    finally:
        worker.kill()
    states = records(fresh_kafka, topics.changelog(fresh_kafka.worker.app_id, "behavior"))
    assert states[-1]["graded_attempts"] == 3
    assert len(records(fresh_kafka, topics.DECISIONS)) == 6


@pytest.mark.parametrize("what", ["group", "position"])
def test_what_was_set_back_counts_nothing_twice(
    what: str, fresh_kafka: Settings, tmp_path: Path
) -> None:
    send(fresh_kafka, [answer(1), answer(2)])
    for start in range(2):
        worker = CommandProcess("worker", fresh_kafka, tmp_path / "worker.log")
        try:
            until(lambda: lag(fresh_kafka) == 0)
            assert worker.terminate() == 0
        finally:
            worker.kill()
        if start == 0:
            set_back(fresh_kafka)
            assert lag(fresh_kafka) == 2
            if what == "position":
                forget_positions(fresh_kafka)
    log = (tmp_path / "worker.log").read_text()
    assert ("folded before" in log) == (what == "position")
    assert len(records(fresh_kafka, topics.DECISIONS)) == 4
    states = records(fresh_kafka, topics.changelog(fresh_kafka.worker.app_id, "behavior"))
    assert states[-1]["graded_attempts"] == 2


def set_back(settings: Settings) -> None:
    """The group reads everything again."""
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    starts = [TopicPartition(topics.EVENTS, p, 0) for p in range(settings.kafka.partitions)]
    asked = ConsumerGroupTopicPartitions(settings.worker.app_id, starts)
    for done in admin.alter_consumer_group_offsets([asked]).values():
        done.result(10)


def forget_positions(settings: Settings) -> None:
    """The state of every partition says that nothing was read."""
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    seen = topics.changelog(settings.worker.app_id, "seen")
    for partition in range(settings.kafka.partitions):
        producer.produce(seen, value=b"0", key=POSITION_KEY, partition=partition)
    assert producer.flush(10) == 0


def test_a_new_tree_decides_without_a_restart(fresh_kafka: Settings, tmp_path: Path) -> None:
    worker = CommandProcess("worker", fresh_kafka, tmp_path / "worker.log")
    try:
        send(fresh_kafka, [answer(1)])
        until(lambda: len(records(fresh_kafka, topics.DECISIONS)) == 2)
        seed = seed_trees()["primary_classification"]
        always = seed.model_copy(
            update={
                "version": 1,
                "author": "a test",
                "created_at": datetime(2026, 3, 1, tzinfo=UTC),
                "nodes": (Leaf(rule_id="always", distribution={"Fast Tracker": 1.0}),),
            }
        )
        producer = Producer({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
        producer.produce(
            topics.TREE_VERSIONS, key="primary_classification:1", value=always.model_dump_json()
        )
        assert producer.flush(10) == 0
        time.sleep(1)
        send(fresh_kafka, [answer(2)])
        until(lambda: len(records(fresh_kafka, topics.DECISIONS)) == 4)
        assert worker.alive
    finally:
        worker.kill()
    made = [
        (r["event_id"][-1], r["decision_version"], r["decision_label"], r["flagged_rules_hit"])
        for r in records(fresh_kafka, topics.DECISIONS)
        if r["tree_id"] == "primary_classification"
    ]
    assert made[0][:2] == ("1", 0)
    assert made[1] == ("2", 1, "Fast Tracker", ["always"])


async def test_topics_that_are_not_there_are_named(fresh_kafka: Settings) -> None:
    delete_topics(fresh_kafka.kafka.bootstrap_servers)
    with pytest.raises(BrokerUnavailable, match="learner topics create"):
        await run_worker(fresh_kafka, asyncio.Event())


async def test_a_broker_that_is_not_there_is_named() -> None:
    settings = Settings(_env_file=None, kafka={"bootstrap_servers": "127.0.0.1:9"})
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:9"):
        await run_worker(settings, asyncio.Event())
