"""A failed quiz becomes a prompt that the query-strategy service has taken; then a talk about it.

Every part in a process of its own, every store real; one trace id from the event to `success`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from example_chat.talk import SECRET, talking, token_of
from pydantic import SecretStr

from agents.topic_admin import create_topics
from agents.topics import EVENTS
from client.decisions import DeliveredDecisions
from config.settings import ChatSettings, KafkaSettings, MetricsSettings, Settings, WorkerSettings
from faults.all_stores import SERVERS, AllStores
from faults.command_process import CommandProcess, environment
from schemas.delivery import Delivery
from schemas.errors import StoreUnavailable
from servers.kafka import Kafka, free_ports

TRACE = uuid.uuid4().hex
USER = str(uuid.uuid4())
COURSE = "algebra-1"
SECONDS = 60


@pytest.fixture
def running(
    own_kafka: Callable[[], Kafka], stores: AllStores, tmp_path: Path
) -> Iterator[Settings]:
    """Settings of everything at work: worker, facilitator, gateway, responder, a sink a store."""
    (port,) = free_ports(1)
    settings = stores.settings(
        Settings(
            _env_file=None,
            kafka=KafkaSettings(bootstrap_servers=own_kafka().bootstrap, partitions=2),
            worker=WorkerSettings(app_id="end-to-end", pin_trees=True),
            chat=ChatSettings(port=port, token_secret=SecretStr(SECRET)),
            metrics=MetricsSettings(port=0),
        ),
        tmp_path,
    )
    asyncio.run(create_topics(settings))
    commands = ("worker", "facilitator", "gateway", "responder", "sink " + " ".join(SERVERS))
    processes = [
        CommandProcess(command, settings, tmp_path / f"{command.split()[0]}.log")
        for command in commands
    ]
    yield settings
    ended = [c for c, p in zip(commands, processes, strict=True) if not p.alive]
    for process in processes:
        process.terminate()
    assert not ended, "\n".join((tmp_path / f"{c.split()[0]}.log").read_text() for c in ended)


def learner(settings: Settings, *arguments: str) -> str:
    """What a command printed; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def send(settings: Settings, *events: dict[str, Any]) -> None:
    where = {"bootstrap.servers": settings.kafka.bootstrap_servers}
    producer = Producer({**where, "partitioner": "murmur2_random"})
    for event in events:
        given = {
            "event_id": str(uuid.uuid4()),
            "user_id": USER,
            "course_id": COURSE,
            "occurred_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            **event,
        }
        producer.produce(EVENTS, json.dumps(given).encode(), USER)
    assert producer.flush(10) == 0


def quiz(score: float, **fields: Any) -> dict[str, Any]:
    return {
        "type": "quiz.submitted",
        "question_id": "q-1",
        "topic_id": "factoring",
        "score": score,
        "confidence": 0.9,
        **fields,
    }


async def test_one_trace_from_a_failed_quiz_to_success_and_a_talk_about_it(
    running: Settings,
) -> None:
    taken: list[Delivery] = []
    taking = asyncio.create_task(_take(running, taken))
    try:
        await _failed_quiz(running, taken)
        await _talk(running)
        told = json.loads(await asyncio.to_thread(learner, running, "trace", TRACE, "--json"))
        words = await asyncio.to_thread(learner, running, "trace", TRACE)
        await asyncio.to_thread(learner, running, "audit", *SERVERS)
        outline = await asyncio.to_thread(learner, running, "query", "learner", USER)
        quizzes = ("query", "interactions", USER, "--type", "quiz.submitted")
        did = await asyncio.to_thread(learner, running, *quizzes)
    finally:
        taking.cancel()
        await asyncio.wait({taking})
    text = json.dumps(told)
    for known in (TRACE, "quiz.submitted", "success", *(d.delivery_id for d in taken if _ours(d))):
        assert known in text
    assert words.count("acknowledged") == 2
    assert "total_courses" in outline, "across courses"
    assert "factoring: " in outline, "in the course"
    assert did.count("quiz.submitted") == 9


def _ours(delivery: Delivery) -> bool:
    return delivery.trace_id == TRACE


async def _failed_quiz(settings: Settings, taken: list[Delivery]) -> None:
    before: dict[str, str] = {}
    for number in range(4):
        right = await _decided(settings, taken, quiz(1.0, question_id=f"r{number}"))
        before = {tree: delivery.strategy_label for tree, delivery in right.items()}
    traced = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    for number in range(4):
        await _decided(settings, taken, quiz(0.0, question_id=f"w{number}"))
    after = await _decided(settings, taken, quiz(0.0, question_id="w4", **traced))
    assert {tree: d.strategy_label for tree, d in after.items()} != before
    for delivery in after.values():
        assert _ours(delivery)
        assert delivery.event_source == "quiz_submit"
        assert "factoring" in delivery.llm_prompt_summary
        assert 0 <= delivery.decision_latency_ms <= delivery.latency_ms
    await _until_success(settings)


async def _decided(
    settings: Settings, taken: list[Delivery], event: dict[str, Any]
) -> dict[str, Delivery]:
    """Sends an event; what was delivered for it, by tree."""
    event_id = str(uuid.uuid4())
    send(settings, {**event, "event_id": event_id})

    def of_event() -> dict[str, Delivery]:
        return {d.decision_tree_id: d for d in taken if d.event_id == event_id}

    await _until(lambda: len(of_event()) == 2, f"both decisions at {event}")
    return of_event()


async def _until_success(settings: Settings) -> None:
    from sinks.postgres_connection import connected  # noqa: PLC0415

    sql = "SELECT response_status FROM deliveries WHERE trace_id = $1"
    async with asyncio.timeout(SECONDS):
        while True:
            # Its sink may not have made the table yet.
            with suppress(StoreUnavailable):
                async with connected(settings.postgres) as connection:
                    told = [row["response_status"] for row in await connection.fetch(sql, TRACE)]
                if told == ["success", "success"]:
                    return
            await asyncio.sleep(0.2)


async def _talk(settings: Settings) -> None:
    """The question is answered, and the stores know the talk."""
    url = f"http://127.0.0.1:{settings.chat.port}"
    async with talking(url, token_of(USER), "evening") as talk:
        await talk.say("I don't understand factoring at all, can you give me a hint?")
        await talk.until(lambda: len(talk.of("message")) == 2, SECONDS)
        question, answer = talk.of("message")
        assert answer["in_reply_to"] == question["event_id"]
        await talk.send({"type": "end"})
        await talk.until(lambda: len(talk.of("message")) == 3, SECONDS)
    found = await asyncio.to_thread(_asked, settings, "query", "conversations", "factoring")
    assert {message["user_id"] for message in found} == {USER}
    assert any(message["strategy"] for message in found)
    said = await asyncio.to_thread(_asked, settings, "query", "transcript", USER, "evening")
    assert [m["event_id"] for m in said[:2]] == [question["event_id"], answer["event_id"]]
    (summary,) = await asyncio.to_thread(_asked, settings, "query", "sessions", USER)
    assert (summary["state"], summary["turns"], summary["answers"]) == ("ended", 1, 1)


def _asked(settings: Settings, *question: str) -> list[dict[str, Any]]:
    """The answer of a store, as soon as it has one: it follows the log at its own pace."""
    deadline = datetime.now(UTC).timestamp() + SECONDS
    while True:
        lines = learner(settings, *question, "--json").splitlines()
        answer = [json.loads(line) for line in lines]
        enough = answer and (question[1] != "sessions" or answer[0]["state"] == "ended")
        if enough or datetime.now(UTC).timestamp() > deadline:
            return answer


async def _take(settings: Settings, taken: list[Delivery]) -> None:
    async with DeliveredDecisions(
        settings.kafka.bootstrap_servers, group_id="query-strategy"
    ) as decisions:
        async for decision in decisions:
            taken.append(decision.delivery)
            await decision.ack()


async def _until(holds: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(SECONDS):
            while not holds():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"it did not come: {what}") from None
