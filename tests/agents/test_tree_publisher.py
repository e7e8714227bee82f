"""Edits of trees on a real Kafka: in force within a second, and of two people one is told."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from agents import topics
from agents.trainer_log import version_key
from agents.tree_publisher import Edit, publish_edit, versions_in_force
from agents.tree_versions import TreeVersions
from config.seed_trees import seed_trees
from config.settings import KafkaSettings, Settings
from faults.command_process import CommandProcess
from faults.committed_records import committed_records
from schemas.errors import BrokerUnavailable, EditRefused
from schemas.fields import TreeId
from schemas.tree import Branch, TreeDocument
from servers.kafka_topics import delete_topics
from streams.tree_edits import Editor, Versions, set_threshold

TREE: TreeId = "primary_classification"
OTHER: TreeId = "intervention_strategy"
USER = "0b9d7c1e-6a52-4a53-9a6b-2f3a5e8d1c77"
RULE = "silence-check"


def edit(value: float, author: str = "m.curie", reason: str = "because") -> Edit:
    by = Editor(author, reason, datetime.now(UTC))
    return lambda versions: set_threshold(versions, RULE, value, by)


def published(settings: Settings) -> list[TreeDocument]:
    records = committed_records(settings.kafka.bootstrap_servers, topics.TREE_VERSIONS)[0]
    return [TreeDocument.model_validate_json(record.value() or b"") for record in records]


def threshold(document: TreeDocument) -> float:
    (node,) = (n for n in document.nodes if isinstance(n, Branch) and n.rule_id == RULE)
    return node.threshold


async def test_an_edit_is_on_the_topic_when_it_returns(fresh_kafka: Settings) -> None:
    made = await publish_edit(fresh_kafka.kafka, TREE, edit(200))
    assert (made.version, threshold(made)) == (1, 200)
    (record,) = committed_records(fresh_kafka.kafka.bootstrap_servers, topics.TREE_VERSIONS)[0]
    assert record.key() == version_key(made)
    assert published(fresh_kafka) == [made]
    again = await publish_edit(fresh_kafka.kafka, TREE, edit(100), expect=1)
    assert again.version == 2
    assert await versions_in_force(fresh_kafka.kafka, TREE) == (seed_trees()[TREE], made, again)
    assert await versions_in_force(fresh_kafka.kafka, OTHER) == (seed_trees()[OTHER],)


async def test_of_people_at_once_one_is_in_force_and_each_other_is_told_who(
    fresh_kafka: Settings,
) -> None:
    people = [f"person{number}" for number in range(3)]
    kept: list[TreeDocument] = []
    for turn in range(5):
        answers = await asyncio.gather(
            *(
                publish_edit(
                    fresh_kafka.kafka, TREE, edit(100 + turn + n / 10, name, f"why {turn}"), turn
                )
                for n, name in enumerate(people)
            ),
            return_exceptions=True,
        )
        (won,) = (answer for answer in answers if isinstance(answer, TreeDocument))
        told = [str(answer) for answer in answers if isinstance(answer, EditRefused)]
        assert len(told) == len(people) - 1
        for said in told:
            assert f"{TREE} version {turn + 1} by {won.author} (why {turn})" in said
        kept.append(won)
    assert await versions_in_force(fresh_kafka.kafka, TREE) == (seed_trees()[TREE], *kept)
    versions = TreeVersions(fresh_kafka.kafka)
    await versions.start()
    assert versions.current(TREE) == kept[-1]
    await versions.stop()


def between(act: Callable[[TreeDocument], object], of: Edit) -> Edit:
    """After the topic was read, before ours is sent."""

    def edit_then_act(versions: Versions) -> TreeDocument:
        document = of(versions)
        act(document)
        return document

    return edit_then_act


def send(producer: Producer, document: TreeDocument) -> None:
    producer.produce(
        topics.TREE_VERSIONS, document.model_dump_json().encode(), version_key(document)
    )


@pytest.mark.parametrize("number", [1, 9])
async def test_who_comes_second_changes_nothing(fresh_kafka: Settings, number: int) -> None:
    """Also not if the other one took a number of their own choice."""

    def other_first(document: TreeDocument) -> None:
        producer = Producer({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
        update = {"version": number, "author": "p.curie", "reason": "mine"}
        send(producer, document.model_copy(update=update))
        assert producer.flush(10) == 0

    with pytest.raises(EditRefused, match=rf"version {number} by p\.curie \(mine\)"):
        await publish_edit(fresh_kafka.kafka, TREE, between(other_first, edit(200)))
    in_force = (await versions_in_force(fresh_kafka.kafka, TREE))[-1]
    assert (in_force.version, in_force.author) == (number, "p.curie")


@pytest.mark.parametrize("committed", [True, False])
async def test_a_transaction_that_stands_open_before_ours_is_waited_for(
    fresh_kafka: Settings, committed: bool
) -> None:
    """As the trainer publishes: its record is there before it is seen."""
    ended: list[float] = []

    def other_first(document: TreeDocument) -> None:
        producer = Producer(
            {
                "bootstrap.servers": fresh_kafka.kafka.bootstrap_servers,
                "transactional.id": f"{fresh_kafka.worker.app_id}-x",
            }
        )
        producer.init_transactions(10)
        producer.begin_transaction()
        send(producer, document.model_copy(update={"author": "trainer", "reason": "learned"}))
        assert producer.flush(10) == 0

        def end() -> None:
            time.sleep(1.5)
            ended.append(time.monotonic())
            (producer.commit_transaction if committed else producer.abort_transaction)(10)

        threading.Thread(target=end).start()

    asked = publish_edit(fresh_kafka.kafka, TREE, between(other_first, edit(200)))
    if committed:
        with pytest.raises(EditRefused, match=r"version 1 by trainer \(learned\)"):
            await asked
    else:
        assert (await asked).author == "m.curie"
    assert ended
    in_force = (await versions_in_force(fresh_kafka.kafka, TREE))[-1]
    assert in_force.author == ("trainer" if committed else "m.curie")


async def test_another_version_than_the_expected_one_is_left_alone(fresh_kafka: Settings) -> None:
    first = await publish_edit(fresh_kafka.kafka, TREE, edit(200, reason="exam week"))
    with pytest.raises(EditRefused, match=r"not version 0, but .*version 1 by m\.curie \(exam"):
        await publish_edit(fresh_kafka.kafka, TREE, edit(100), expect=0)
    assert published(fresh_kafka) == [first]


async def test_an_edit_that_is_refused_sends_nothing(fresh_kafka: Settings) -> None:
    with pytest.raises(EditRefused, match="no threshold of hours_since_previous"):
        await publish_edit(fresh_kafka.kafka, TREE, edit(-1))
    assert published(fresh_kafka) == []


async def test_what_is_no_tree_on_the_topic_is_passed_over(fresh_kafka: Settings) -> None:
    producer = Producer({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
    producer.produce(topics.TREE_VERSIONS, b"no tree", b"x")
    assert producer.flush(10) == 0
    assert (await publish_edit(fresh_kafka.kafka, TREE, edit(200))).version == 1


async def test_without_topic_or_kafka_it_is_said(fresh_kafka: Settings) -> None:
    delete_topics(fresh_kafka.kafka.bootstrap_servers)
    with pytest.raises(BrokerUnavailable, match=r"tree\.versions is not there"):
        await publish_edit(fresh_kafka.kafka, TREE, edit(200))
    nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:9")
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:9"):
        await publish_edit(nowhere, TREE, edit(200))


def answer(number: int) -> bytes:
    event = {
        "event_id": f"8a4f0a3c-2f5b-4f1e-8a77-{number:012d}",
        "type": "quiz.submitted",
        "user_id": USER,
        "course_id": "algebra",
        "occurred_at": f"2026-03-01T{10 + number // 3600:02d}:{number // 60 % 60:02d}"
        f":{number % 60:02d}Z",
        "question_id": f"q{number}",
        "score": 0.5,
    }
    return json.dumps(event).encode()


class Decisions:
    """The worker's, read as they come; an answer is sent for each look."""

    def __init__(self, settings: Settings) -> None:
        bootstrap = settings.kafka.bootstrap_servers
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "watcher",
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
            }
        )
        partitions = range(settings.kafka.partitions)
        self._consumer.assign([TopicPartition(topics.DECISIONS, p, 0) for p in partitions])
        self._sent = 0

    def until_version(self, version: int, limit: float) -> float:
        """Seconds until a decision by that version is there."""
        start = time.monotonic()
        while time.monotonic() - start < limit:
            self._producer.produce(topics.EVENTS, answer(self._sent), USER)
            self._producer.poll(0)
            self._sent += 1
            for message in self._consumer.consume(100, timeout=0.03):
                decision = json.loads(message.value() or b"{}")
                if (decision["tree_id"], decision["decision_version"]) == (TREE, version):
                    return time.monotonic() - start
        raise AssertionError(f"no decision by version {version} in {limit} s")

    def close(self) -> None:
        self._producer.flush(10)
        self._consumer.close()


def test_a_threshold_set_by_hand_decides_within_a_second(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    """In a worker that runs already and is not started anew, time after time."""
    worker = CommandProcess("worker", fresh_kafka, tmp_path / "worker.log")
    decisions = Decisions(fresh_kafka)
    command = [sys.executable, "-m", "cli.main", "tree", "set-threshold", TREE, RULE]
    options = ["--reason", "a test", "--kafka", fresh_kafka.kafka.bootstrap_servers]
    took = []
    try:
        decisions.until_version(0, 60)
        for version in range(1, 6):
            done = subprocess.run(
                [*command, str(200 + version), *options], capture_output=True, check=False
            )
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["version"] == version
            took.append(decisions.until_version(version, 5))
        assert worker.alive
    finally:
        worker.kill()
        decisions.close()
    assert max(took) < 1, took
    print("seconds from the command's answer to a decision:", [round(t, 3) for t in took])
