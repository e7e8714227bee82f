"""`learner dlq resend` killed, doubled and frozen out: a letter's event comes once, and is never
lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from signal import SIGKILL
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced
from confluent_kafka import Producer
from example_streams.dead_letters import USER, answer, letter, marks, values, write_letters

from agents import topics
from agents.dead_letter_judge import Judge
from agents.dead_letter_log import open_letters
from agents.dead_letter_resend import drop, resend
from agents.topics import DEAD_LETTERS, EVENTS, SETTLED_LETTERS
from agents.transactions import Outgoing, PartitionProducer
from cli.progress import progress
from config.settings import Settings
from faults.command_at_a_moment import variables
from faults.command_process import CommandProcess
from faults.committed_records import lag
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.errors import Fenced
from streams.dead_letters import Choice, Letter, mark_of

SECONDS = 60


def until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < ends, "it did not come in time"
        time.sleep(0.2)


def records(settings: Settings, topic: str) -> list[bytes]:
    return [raw for each in values(settings, topic).values() for raw in each]


def with_horizon(settings: Settings, days: int) -> Settings:
    worker = settings.worker.model_copy(update={"horizon_days": days})
    return settings.model_copy(update={"worker": worker})


class Worked:
    """A worker that takes what is there, and ends."""

    def __init__(self, settings: Settings, log: Path) -> None:
        worker = CommandProcess("worker", settings, log)
        try:
            until(lambda: lag(settings) == 0)
            assert worker.terminate() == 0
        finally:
            worker.kill()


def test_a_letter_that_is_valid_now_goes_through_the_worker_once(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    """Too late; malformed; from the future, and sent again by its producer too meanwhile."""
    late = answer(2, occurred_at=f"{datetime.now(UTC) - timedelta(days=90):%Y-%m-%dT%H:%M:%SZ}")
    in_time = datetime.now(UTC) + timedelta(seconds=20)
    ahead = answer(4, occurred_at=f"{in_time + timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}")
    producer = Producer({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
    for value in (answer(1), late, b"{bad", ahead):
        producer.produce(EVENTS, value, USER)
    assert producer.flush(10) == 0
    Worked(fresh_kafka, tmp_path / "worker.log")
    letters = [DeadLetter.model_validate_json(raw) for raw in records(fresh_kafka, DEAD_LETTERS)]
    assert [each.reason.value for each in letters] == ["too_late", "not_json", "from_the_future"]

    raised = with_horizon(fresh_kafka, 120)
    until(lambda: datetime.now(UTC) > in_time)
    for settings, left in ((fresh_kafka, 2), (raised, 1), (raised, 1)):
        done = CommandProcess("dlq resend --all", settings, tmp_path / "dlq.log")
        assert done.wait() == 1
        summary = (tmp_path / "dlq.log").read_text().splitlines()[-2]
        assert orjson.loads(summary)["left"] == left
    producer.produce(EVENTS, ahead, USER)  # its producer tries again too
    assert producer.flush(10) == 0
    Worked(raised, tmp_path / "worker.log")

    decided = Counter(
        orjson.loads(raw)["event_id"][-1] for raw in records(raised, topics.DECISIONS)
    )
    assert decided == {"1": 2, "2": 2, "4": 2}, "each by both trees, once"
    table = topics.changelog(raised.worker.app_id, "behavior")
    assert orjson.loads(records(raised, table)[-1])["graded_attempts"] == 3
    assert len(records(raised, DEAD_LETTERS)) == 3
    assert [mark.state for mark in marks(raised)] == ["resent", "resent"]


def test_killed_at_any_moment_each_letter_comes_once(fresh_kafka: Settings, tmp_path: Path) -> None:
    letters = [letter(n, answer(n), partition=n % 4) for n in range(4_000)]
    write_letters(fresh_kafka, letters)
    for moment, nth in product(("before", "sent", "committed"), (1, 2)):
        killed = CommandProcess(
            "dlq resend --all", fresh_kafka, tmp_path / "dlq.log", variables(moment, nth, "kill")
        )
        assert killed.wait(SECONDS) == -SIGKILL, (tmp_path / "dlq.log").read_text()[-1000:]
        assert set(Counter(records(fresh_kafka, EVENTS)).values()) <= {1}, (moment, nth)
    ended = CommandProcess("dlq resend --all", fresh_kafka, tmp_path / "dlq.log")
    assert ended.wait(SECONDS) == 0, (tmp_path / "dlq.log").read_text()[-1000:]
    by_partition = values(fresh_kafka, EVENTS)
    for partition in range(4):
        wanted = sorted(each.raw for each in letters if each.partition == partition)
        assert sorted(by_partition[partition]) == wanted
    settled = Counter(mark.dead_letter_id for mark in marks(fresh_kafka))
    assert settled == Counter(each.dead_letter_id for each in letters)


async def test_what_a_killed_one_had_begun_is_undone(fresh_kafka: Settings) -> None:
    """Record and mark stand on Kafka, the commit never came."""
    only = letter(1, answer(1))
    write_letters(fresh_kafka, [only])
    (found,) = await open_letters(fresh_kafka.kafka, Choice(), progress)
    killed = settling(fresh_kafka)
    await killed.start()
    await killed._producer.begin_transaction()
    for sent in await killed._send(settled(found, only)):
        await sent
    done = await resend(fresh_kafka, Choice(), "anna", progress, fail_left)
    assert done == (1, 1, 0)
    assert records(fresh_kafka, EVENTS) == [only.raw]
    assert len(marks(fresh_kafka)) == 1
    await killed.stop()


async def test_who_was_overtaken_changes_nothing(fresh_kafka: Settings) -> None:
    """Frozen with its letters chosen, and woken when another has sent them."""
    only = letter(1, answer(1))
    write_letters(fresh_kafka, [only])
    (found,) = await open_letters(fresh_kafka.kafka, Choice(), progress)
    frozen = settling(fresh_kafka)
    await frozen.start()
    assert await resend(fresh_kafka, Choice(), "anna", progress, fail_left) == (1, 1, 0)
    with pytest.raises(ProducerFenced):
        await frozen.commit(settled(found, only))
    assert records(fresh_kafka, EVENTS) == [only.raw]
    await frozen.stop()


async def test_of_two_at_once_one_is_told_so(fresh_kafka: Settings) -> None:
    """The second begins while the first reads, judges and shows what stays."""
    letters = [letter(1, b"{", DeadLetterReason.NOT_JSON), letter(2, answer(2))]
    write_letters(fresh_kafka, letters)
    choice = Choice(ids=frozenset([letters[1].dead_letter_id]))
    outcomes: list[object] = []

    async def second() -> None:
        outcomes.append(await drop(fresh_kafka, choice, "ben", progress))

    with pytest.raises(Fenced, match="let only one"):
        await interrupted_resend(fresh_kafka, second)
    assert outcomes == [1]
    assert records(fresh_kafka, EVENTS) == []
    assert [(mark.state, mark.settled_by) for mark in marks(fresh_kafka)] == [("dropped", "ben")]


async def interrupted_resend(settings: Settings, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """A resend of everything, with something done between its judging and its sending."""
    prepare = Judge.prepare

    async def and_then(self: Judge, *arguments: Any) -> None:
        await prepare(self, *arguments)
        await meanwhile()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Judge, "prepare", and_then)
        await resend(settings, Choice(), "anna", progress, lambda _: None)


def settling(settings: Settings) -> PartitionProducer:
    """The producer that every `learner dlq` has, of this installation."""
    app_id = f"{settings.worker.app_id}-dlq"
    return PartitionProducer(settings.kafka, app_id, TopicPartition(DEAD_LETTERS, 0))


def settled(found: Letter, content: DeadLetter) -> list[Outgoing]:
    mark = mark_of(found, "resent", "anna", datetime.now(UTC))
    return [
        Outgoing(EVENTS, content.key or b"", content.raw, content.partition),
        Outgoing(SETTLED_LETTERS, mark.dead_letter_id.encode(), mark.model_dump_json().encode(), 0),
    ]


def fail_left(left: object) -> None:
    raise AssertionError(left)
