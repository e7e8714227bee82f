"""Learners connected to one gateway process, each saying something every half minute.

`python -m bench.chat_load`: a real Kafka, a real Redis, one `learner worker` and one
`learner gateway`, each a process of its own; the learners are in this one. The echo is the message
as the session's stream has it, so it has been to Kafka, through the worker, and into Redis. Every
message must be on ``chat.messages`` once and come back once: otherwise there is no report. Waits
are taken from what is sent after the first pause, when everything is warm.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import uvloop
from pydantic import SecretStr

from agents.topic_admin import create_topics
from agents.topics import CHAT
from bench.percentiles import percentiles
from bench.process_size import resident_kb
from chat.tokens import sign_token
from config.settings import (
    ChatSettings,
    KafkaSettings,
    MetricsSettings,
    RedisSettings,
    Settings,
    WorkerSettings,
)
from faults.command_process import CommandProcess
from faults.committed_records import committed_records
from servers import redis
from servers.kafka import LASTING, free_ports, start_kafka

_SECRET = "benchmark-only-0123456789abcdef-0123456789abcdef"  # noqa: S105
_AT_ONCE = 50
_LAST_ECHOES_SECONDS = 30.0
_TEXTS = (
    "Why is the sign different here?",
    "I don't understand the second step",
    "Can you give me a hint?",
    "Is it because both sides are multiplied?",
    "Thanks, that helped",
)


class Learner:
    """One connection. ``accepted``, ``echoed``: seconds from sending to each, by message."""

    def __init__(self) -> None:
        self.user_id = str(uuid.uuid4())
        self.sent: dict[str, float] = {}
        self.accepted: dict[str, float] = {}
        self.echoed: dict[str, float] = {}
        self.twice = 0
        self._event_ids: dict[str, str] = {}
        self._early: dict[str, float] = {}
        self._ws: aiohttp.ClientWebSocketResponse | None = None

    async def connect(self, client: aiohttp.ClientSession, url: str) -> None:
        token = sign_token(_SECRET, self.user_id, "learner", datetime.now(UTC), 3600)
        headers = {"Authorization": f"Bearer {token}"}
        self._ws = await client.ws_connect(f"{url}/ws", headers=headers, compress=0)

    async def say(self, text: str) -> None:
        assert self._ws is not None
        id_ = uuid.uuid4().hex
        self.sent[id_] = time.perf_counter()
        await self._ws.send_str(json.dumps({"type": "say", "id": id_, "text": text}))

    async def listen(self) -> None:
        assert self._ws is not None
        async for message in self._ws:
            now, frame = time.perf_counter(), json.loads(message.data)
            if frame["type"] == "accepted":
                self.accepted[frame["id"]] = now - self.sent[frame["id"]]
                self._event_ids[frame["event_id"]] = frame["id"]
                if frame["event_id"] in self._early:
                    self._echo(frame["event_id"], self._early.pop(frame["event_id"]))
            elif frame["type"] == "message":
                if frame["event_id"] in self._event_ids:
                    self._echo(frame["event_id"], now)
                else:
                    self._early[frame["event_id"]] = now

    def waits(self, answered: Mapping[str, float]) -> list[float]:
        """All but the first message's."""
        return [answered[id_] for id_ in list(self.sent)[1:] if id_ in answered]

    @property
    def event_ids(self) -> list[str]:
        return list(self._event_ids)

    def _echo(self, event_id: str, now: float) -> None:
        id_ = self._event_ids[event_id]
        self.twice += id_ in self.echoed
        self.echoed[id_] = now - self.sent[id_]


async def run(
    url: str, learners: int, seconds: float, pause: float, pid: int
) -> tuple[dict[str, float], list[str]]:
    """The figures, once all that was sent has come back, and the messages' event ids."""
    everybody = [Learner() for _ in range(learners)]
    before = resident_kb(pid)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as client:
        for at in range(0, learners, _AT_ONCE):
            part = everybody[at : at + _AT_ONCE]
            await asyncio.gather(*(learner.connect(client, url) for learner in part))
            sys.stderr.write(f"\rconnected {at + len(part):,}")
        sys.stderr.write("\n")
        listening = [asyncio.create_task(learner.listen()) for learner in everybody]
        await asyncio.sleep(2)
        connected = resident_kb(pid)
        gc.freeze()  # our own pauses are not the gateway's
        await asyncio.gather(*(_talk(learner, seconds, pause) for learner in everybody))
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_ECHOES_SECONDS):
                while any(len(x.echoed) < len(x.sent) for x in everybody):
                    await asyncio.sleep(0.1)
        for task in listening:
            task.cancel()
    sent = sum(len(learner.sent) for learner in everybody)
    return {
        "chat_connections": learners,
        "chat_messages": sent,
        "chat_lost": sent - sum(len(learner.echoed) for learner in everybody),
        "chat_twice": sum(learner.twice for learner in everybody),
        "chat_messages_per_s": round(sent / seconds, 1),
        **percentiles("chat_accepted", [x for who in everybody for x in who.waits(who.accepted)]),
        **percentiles("chat_echo", [x for who in everybody for x in who.waits(who.echoed)]),
        "chat_kb_per_connection": round((connected - before) / learners, 1),
        "chat_gateway_mb": round(resident_kb(pid) / 1024),
        "chat_gateway_cpu_s": _cpu_seconds(pid),
    }, [id_ for learner in everybody for id_ in learner.event_ids]


async def _talk(learner: Learner, seconds: float, pause: float) -> None:
    """Says something once in each ``pause``, at a moment of the learner's own."""
    end = time.perf_counter() + seconds
    await asyncio.sleep(random.uniform(0, pause))
    while time.perf_counter() < end:
        await learner.say(random.choice(_TEXTS))
        await asyncio.sleep(pause)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learners", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--pause", type=float, default=30, help="seconds between two messages")
    args = parser.parse_args()
    print(json.dumps(chat_load(args.learners, args.seconds, args.pause)))


def chat_load(learners: int, seconds: float, pause: float) -> dict[str, float]:
    """With servers and processes of its own."""
    kafka, store = start_kafka(LASTING), redis.start()
    (port,) = free_ports(1)
    settings = Settings(
        _env_file=None,
        kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap, partitions=1),
        worker=WorkerSettings(app_id="bench-chat", pin_trees=True),
        redis=RedisSettings(url=store.url),
        chat=ChatSettings(port=port, token_secret=SecretStr(_SECRET)),
        metrics=MetricsSettings(port=0),
    )
    asyncio.run(create_topics(settings))
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            CommandProcess(name, settings, Path(folder) / f"{name}.log")
            for name in ("worker", "gateway")
        ]
        try:
            url = f"http://127.0.0.1:{port}"
            asyncio.run(_until_ready(url))
            figures, event_ids = uvloop.run(run(url, learners, seconds, pause, processes[1].pid))
            log = Counter(
                json.loads(message.value())["event_id"]
                for message in committed_records(kafka.bootstrap, CHAT)[0]
            )
        finally:
            for process in processes:
                process.kill()
            kafka.stop()
            store.stop()
    wrong = sum(log[event_id] != 1 for event_id in event_ids)
    if wrong or figures["chat_lost"] or figures["chat_twice"]:
        raise SystemExit(f"{wrong} messages are not on {CHAT} once; {figures}: no report")
    return figures


async def _until_ready(url: str) -> None:
    async with aiohttp.ClientSession() as client, asyncio.timeout(60):
        while True:
            with suppress(aiohttp.ClientError):
                async with client.get(f"{url}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    main()
