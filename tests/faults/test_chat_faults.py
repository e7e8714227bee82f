"""Gateway, responder, facilitator and Redis killed in turn while learners talk.

Every accepted message is on the log once and in order, has one answer, and every learner is shown
all of their session, each message once, in order; every decision ends with one status.

``FAULT_ROUNDS=20 pytest tests/faults/test_chat_faults.py`` kills each of them twenty times.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis as driver
from example_chat.talk import SECRET
from pydantic import SecretStr

from agents.topic_admin import create_topics
from agents.topics import CHAT, DECISIONS, DELIVERY_LOG
from client.decisions import DeliveredDecisions
from config.settings import (
    ChatSettings,
    FacilitatorSettings,
    KafkaSettings,
    MetricsSettings,
    RedisSettings,
    Settings,
    WorkerSettings,
)
from faults.chat_learner import ChatLearner
from faults.command_process import CommandProcess
from faults.committed_records import committed_records
from servers import redis
from servers.kafka import Kafka, free_ports
from servers.store_server import ChildServer

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))
FAULTS = ("gateway", "responder", "facilitator", "redis", "redis comes back empty")
LEARNERS = 12
PARTITIONS = 2
_BETWEEN_SECONDS = 4.0
_SETTLE_SECONDS = 90.0


class Stack:
    """Everything that the chat needs, each in a process of its own; two gateways and responders."""

    def __init__(self, kafka: Kafka, folder: Path) -> None:
        self.folder = folder
        self.redis = redis.start()
        self.ports = free_ports(2)
        self.settings = Settings(
            _env_file=None,
            kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap, partitions=PARTITIONS),
            worker=WorkerSettings(app_id="chat-faults", pin_trees=True),
            redis=RedisSettings(url=self.redis.url, timeout_seconds=3),
            chat=ChatSettings(token_secret=SecretStr(SECRET), messages_per_minute=600, burst=50),
            facilitator=FacilitatorSettings(ack_timeout_seconds=5, attempts=10),
            metrics=MetricsSettings(port=0),
        )
        asyncio.run(create_topics(self.settings))
        self._processes: dict[str, list[CommandProcess]] = {
            "worker": [self._start("worker")],
            "facilitator": [self._start("facilitator")],
            "responder": [self._start("responder", n) for n in range(2)],
            "gateway": [self._start("gateway", n) for n in range(2)],
        }

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def _start(self, name: str, number: int = 0) -> CommandProcess:
        settings = self.settings
        if name == "gateway":
            chat = settings.chat.model_copy(update={"port": self.ports[number]})
            settings = settings.model_copy(update={"chat": chat})
        return CommandProcess(name, settings, self.folder / f"{name}-{number}.log")

    def fault(self, name: str, number: int) -> None:
        """Kills it, and starts it again; of two, in turn one of them."""
        if name.startswith("redis"):
            self.redis.kill()
            if name != "redis":
                assert isinstance(self.redis, ChildServer)
                shutil.rmtree(self.redis.data)
                self.redis.data.mkdir()
            time.sleep(0.5)
            self.redis.start()
            return
        processes = self._processes[name]
        which = number % len(processes)
        processes[which].kill()
        processes[which] = self._start(name, which)

    async def supervise(self) -> None:
        """Starts again what has left by itself (a gateway that finds no Kafka at its start, say);
        until it is cancelled."""
        while True:
            await asyncio.sleep(1)
            for name, processes in self._processes.items():
                for which, process in enumerate(processes):
                    if not process.alive:
                        processes[which] = self._start(name, which)

    def unforeseen(self) -> list[str]:
        """What processes left for that nobody has foreseen."""
        return [
            line
            for log in sorted(self.folder.glob("*.log"))
            for line in log.read_text(errors="replace").splitlines()
            if '"event": "left: start it again' in line
        ]

    def stop(self) -> None:
        for process in (p for group in self._processes.values() for p in group):
            process.kill()
        self.redis.stop()


@pytest.fixture
def stack(own_kafka: Callable[[], Kafka], tmp_path: Path) -> Any:
    stack = Stack(own_kafka(), tmp_path)
    yield stack
    stack.stop()


def test_killed_in_turn_under_load(stack: Stack) -> None:
    learners = asyncio.run(_talk_through(stack))
    assert not stack.unforeseen()
    log = [
        (message.partition(), message.offset(), json.loads(message.value()))
        for records in committed_records(
            stack.settings.kafka.bootstrap_servers, CHAT, PARTITIONS
        ).values()
        for message in records
    ]
    said = sum(len(learner.accepted) for learner in learners)
    print(
        f"{ROUNDS} rounds of {len(FAULTS)} faults, {said} messages accepted, "
        f"{sum(learner.connections for learner in learners)} connections"
    )
    assert said >= 5 * LEARNERS
    for learner in learners:
        of_session = [
            (offset, value) for _, offset, value in log if value["user_id"] == learner.user_id
        ]
        mine = [value["event_id"] for _, value in of_session if not value["responder"]]
        assert mine == learner.accepted, "accepted messages: once each, in order"
        replies = [value["in_reply_to"] for _, value in of_session if value["responder"]]
        assert replies == learner.accepted, "answers: once each, in order"
        shown = [frame["id"] for frame in learner.shown]
        assert shown == [offset for offset, _ in of_session], "shown: all, in order, once"
    _assert_decisions_ended_once(stack)


def _assert_decisions_ended_once(stack: Stack) -> None:
    bootstrap = stack.settings.kafka.bootstrap_servers
    decisions = committed_records(bootstrap, DECISIONS, PARTITIONS)
    decided = [json.loads(m.value())["decision_id"] for ms in decisions.values() for m in ms]
    ended: Counter[str] = Counter()
    for messages in committed_records(bootstrap, DELIVERY_LOG, PARTITIONS).values():
        for message in messages:
            delivery = json.loads(message.value())
            if delivery["response_status"] in {"success", "fail", "superseded"}:
                ended[delivery["decision_id"]] += 1
    assert len(set(decided)) == len(decided)
    assert ended == Counter(decided), "every decision ends once"


async def _talk_through(stack: Stack) -> list[ChatLearner]:
    learners = [ChatLearner(stack.urls, number) for number in range(LEARNERS)]
    over = asyncio.Event()
    async with aiohttp.ClientSession() as client:
        connected = [asyncio.create_task(one.stay_connected(client)) for one in learners]
        acking = asyncio.create_task(_acknowledge(stack))
        supervising = asyncio.create_task(stack.supervise())
        talking = [asyncio.create_task(_talk(one, over)) for one in learners]
        try:
            async with asyncio.timeout(_SETTLE_SECONDS):
                while not all(one.answers for one in learners):
                    await asyncio.sleep(0.1)
            for number in range(ROUNDS):
                for fault in FAULTS:
                    await asyncio.to_thread(stack.fault, fault, number)
                    await asyncio.sleep(_BETWEEN_SECONDS)
            over.set()
            await asyncio.gather(*talking)
            await _until_settled(stack, learners)
            await _until_ended(stack)
        finally:
            for task in (*connected, *talking, acking, supervising):
                task.cancel()
            await asyncio.wait({*connected, *talking, acking, supervising})
    return learners


async def _talk(learner: ChatLearner, over: asyncio.Event) -> None:
    number = 0
    while not over.is_set():
        number += 1
        await learner.say(f"message {number}: I don't understand, can you give me a hint?")
        await asyncio.sleep(0.5)


async def _acknowledge(stack: Stack) -> None:
    async with DeliveredDecisions(
        stack.settings.kafka.bootstrap_servers, group_id="query-strategy"
    ) as decisions:
        async for decision in decisions:
            await decision.ack()


async def _until_settled(stack: Stack, learners: list[ChatLearner]) -> None:
    try:
        async with asyncio.timeout(_SETTLE_SECONDS):
            while any(set(one.accepted) - one.answers.keys() for one in learners):
                await asyncio.sleep(0.2)
    except TimeoutError:
        waiting = {id_ for one in learners for id_ in set(one.accepted) - one.answers.keys()}
        raise AssertionError(f"unanswered: {_where(stack, waiting)}") from None


def _where(stack: Stack, waiting: set[str]) -> dict[str, str]:
    """What Kafka and Redis know of messages that nobody was shown an answer to."""
    found = dict.fromkeys(waiting, "")
    kafka = stack.settings.kafka.bootstrap_servers
    for partition, messages in committed_records(kafka, CHAT, PARTITIONS).items():
        for message in messages:
            record = json.loads(message.value())
            for name in ("event_id", "in_reply_to"):
                if record[name] in found:
                    found[record[name]] += f"{name} at {partition}/{message.offset()}; "
    with driver.Redis.from_url(stack.redis.url, decode_responses=True) as client:
        for id_ in waiting:
            if client.exists(f"chat:answered:{id_}"):
                found[id_] += "answered in Redis; "
        for partition in range(PARTITIONS):
            stream = f"chat:requests:{partition}"
            for at, fields in client.xrange(stream):
                event_id = json.loads(fields["record"])["event_id"]
                if event_id in found:
                    found[event_id] += f"queued as {at}; "
            if client.exists(stream):
                for group in client.xinfo_groups(stream):
                    found[stream] = str(group) + str(client.xpending(stream, group["name"]))
    return found


async def _until_ended(stack: Stack) -> None:
    """Until every decision has its final status."""
    async with asyncio.timeout(_SETTLE_SECONDS):
        while True:
            try:
                await asyncio.to_thread(_assert_decisions_ended_once, stack)
                return
            except AssertionError:
                await asyncio.sleep(1)
