"""Gateway, responder, facilitator or Redis killed while learners talk.

Every accepted message is on the log once and in order, has one answer, and every learner is shown
all of their session, each message once, in order; every decision ends with one status.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import redis as driver
from example_chat.talk import SECRET
from pydantic import SecretStr

from agents.topics import CHAT, DECISIONS, DELIVERY_LOG
from client.decisions import DeliveredDecisions
from config.settings import ChatSettings, FacilitatorSettings, RedisSettings, Settings
from faults.chat_learner import ChatLearner
from faults.command_process import CommandProcess
from faults.committed_records import committed_records
from faults.fault import Outcome, Progress, on_fresh_topics
from faults.in_order import compare_in_order
from faults.log_oracle import Compared
from servers import redis
from servers.kafka import Kafka, free_ports
from servers.store_server import ChildServer

_LEARNERS = 12
_PARTITIONS = 2
_BETWEEN_SECONDS = 4.0
_SETTLE_SECONDS = 90.0
_ENDS = {"success", "fail", "superseded"}


class ChatFault(NamedTuple):
    """A round kills one of ``kinds`` (`ChatStack.kill`), which come in turn."""

    name: str
    about: str
    asked: int
    kinds: tuple[str, ...]
    together: int = 15

    def run(
        self,
        bootstrap: str,
        rounds: int,
        seed: int,
        broker: Kafka | None = None,
        progress: Progress = lambda _: None,
    ) -> Outcome:
        """See `faults.fault.Fault`.

        Raises:
            ServerUnavailable: Redis cannot run here.
        """
        began = time.monotonic()
        turns = [(self.kinds[n % len(self.kinds)], n // len(self.kinds)) for n in range(rounds)]
        with (
            tempfile.TemporaryDirectory(prefix="learner-faults-") as folder,
            _stack(bootstrap, Path(folder)) as stack,
        ):
            learners = asyncio.run(
                _talk_through(stack, turns, lambda what: progress(f"{self.name} {what}"))
            )
            compared = _compared(stack.settings, learners)
            assert not stack.unforeseen(), stack.unforeseen()[0]
        assert all(len(learner.accepted) >= rounds for learner in learners), "somebody fell silent"
        notes = {"connections": float(sum(learner.connections for learner in learners))}
        return Outcome(rounds, compared, time.monotonic() - began, notes)


class ChatStack:
    """Everything that the chat needs, each in a process of its own; two gateways and responders."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.folder = folder
        self.redis = redis.start()
        self.ports = free_ports(2)
        settings = on_fresh_topics(bootstrap, _PARTITIONS)
        sections = {
            "worker": settings.worker.model_copy(update={"pin_trees": True}),
            "redis": RedisSettings(url=self.redis.url, timeout_seconds=3),
            "chat": ChatSettings(token_secret=SecretStr(SECRET), messages_per_minute=600, burst=50),
            "facilitator": FacilitatorSettings(ack_timeout_seconds=5, attempts=10),
        }
        self.settings = settings.model_copy(update=sections)
        self._changing = threading.Lock()
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

    def kill(self, kind: str, number: int) -> None:
        """Kills it, and starts it again; of two, in turn one of them.

        ``kind``: a process, ``redis``, or ``redis, and it comes back empty``.
        """
        if kind.startswith("redis"):
            self.redis.kill()
            if kind != "redis":
                assert isinstance(self.redis, ChildServer)
                shutil.rmtree(self.redis.data)
                self.redis.data.mkdir()
            time.sleep(0.5)
            self.redis.start()
            return
        with self._changing:
            processes = self._processes[kind]
            which = number % len(processes)
            processes[which].kill()
            processes[which] = self._start(kind, which)

    async def supervise(self) -> None:
        """Starts again what has left by itself (a gateway that finds no Kafka at its start, say);
        until it is cancelled."""
        while True:
            await asyncio.sleep(1)
            await asyncio.to_thread(self._revive)

    def _revive(self) -> None:
        with self._changing:
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


@contextmanager
def _stack(bootstrap: str, folder: Path) -> Iterator[ChatStack]:
    stack = ChatStack(bootstrap, folder)
    try:
        yield stack
    finally:
        stack.stop()


def _compared(settings: Settings, learners: list[ChatLearner]) -> Compared:
    found = Compared(sum(len(learner.accepted) for learner in learners), [], [], [])
    log = _records(settings, CHAT)
    for learner in learners:
        place = f"user {learner.user_id}"
        mine = [(offset, v) for offset, v in log if v["user_id"] == learner.user_id]
        said = [value["event_id"] for _, value in mine if not value["responder"]]
        compare_in_order(found, "accepted message", learner.accepted, said, place)
        answered = [value["in_reply_to"] for _, value in mine if value["responder"]]
        compare_in_order(found, "answer to", learner.accepted, answered, place)
        shown = [str(frame["id"]) for frame in learner.shown]
        compare_in_order(found, "message shown", [str(offset) for offset, _ in mine], shown, place)
    compare_in_order(found, "end of decision", *_decided_and_ended(settings), DELIVERY_LOG)
    return found


def _decided_and_ended(settings: Settings) -> tuple[list[str], list[str]]:
    """Ids of decisions, and of those with an end on the delivery log."""
    decided = [decision["decision_id"] for _, decision in _records(settings, DECISIONS)]
    ended = [
        delivery["decision_id"]
        for _, delivery in _records(settings, DELIVERY_LOG)
        if delivery["response_status"] in _ENDS
    ]
    return sorted(decided), sorted(ended)


def _records(settings: Settings, topic: str) -> list[tuple[int, dict[str, Any]]]:
    """Offset and value of each; a learner's in order."""
    found = committed_records(settings.kafka.bootstrap_servers, topic, _PARTITIONS)
    return [
        (message.offset(), json.loads(message.value()))
        for messages in found.values()
        for message in messages
    ]


async def _talk_through(
    stack: ChatStack, turns: list[tuple[str, int]], progress: Progress
) -> list[ChatLearner]:
    learners = [ChatLearner(stack.urls, number) for number in range(_LEARNERS)]
    over = asyncio.Event()
    async with aiohttp.ClientSession() as client:
        connected = [asyncio.create_task(one.stay_connected(client)) for one in learners]
        acking = asyncio.create_task(_acknowledge(stack.settings))
        supervising = asyncio.create_task(stack.supervise())
        talking = [asyncio.create_task(_talk(one, over)) for one in learners]
        try:
            async with asyncio.timeout(_SETTLE_SECONDS):
                while not all(one.answers for one in learners):
                    await asyncio.sleep(0.1)
            for kind, number in turns:
                progress(f"round of {kind}, {number + 1}")
                await asyncio.to_thread(stack.kill, kind, number)
                await asyncio.sleep(_BETWEEN_SECONDS)
            over.set()
            await asyncio.wait_for(asyncio.gather(*talking), _SETTLE_SECONDS)
            await _until_settled(stack, learners, progress)
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


async def _acknowledge(settings: Settings) -> None:
    async with DeliveredDecisions(
        settings.kafka.bootstrap_servers, group_id=f"{settings.worker.app_id}-service"
    ) as decisions:
        async for decision in decisions:
            await decision.ack()


async def _until_settled(stack: ChatStack, learners: list[ChatLearner], progress: Progress) -> None:
    """Until everything is answered and every decision has its end, or there is no more hope."""
    ends = time.monotonic() + _SETTLE_SECONDS
    while waiting := {id_ for one in learners for id_ in set(one.accepted) - one.answers.keys()}:
        if time.monotonic() > ends:
            progress(f"unanswered: {_where(stack, waiting)}")
            return
        await asyncio.sleep(0.2)
    ends = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < ends:
        decided, ended = await asyncio.to_thread(_decided_and_ended, stack.settings)
        if decided == ended:
            return
        await asyncio.sleep(1)


def _where(stack: ChatStack, waiting: set[str]) -> dict[str, str]:
    """What Kafka and Redis know of messages that nobody was shown an answer to."""
    found = dict.fromkeys(waiting, "")
    for offset, record in _records(stack.settings, CHAT):
        for name in ("event_id", "in_reply_to"):
            if record[name] in found:
                found[record[name]] += f"{name} at offset {offset}; "
    with driver.Redis.from_url(stack.redis.url, decode_responses=True) as client:
        for id_ in waiting:
            if client.exists(f"chat:answered:{id_}"):
                found[id_] += "answered in Redis; "
        for partition in range(_PARTITIONS):
            stream = f"chat:requests:{partition}"
            for at, fields in client.xrange(stream):
                event_id = json.loads(fields["record"])["event_id"]
                if event_id in found:
                    found[event_id] += f"queued as {at}; "
            if client.exists(stream):
                for group in client.xinfo_groups(stream):
                    found[stream] = str(group) + str(client.xpending(stream, group["name"]))
    return found
