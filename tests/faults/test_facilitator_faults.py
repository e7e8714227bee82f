"""Facilitators killed and frozen at any moment, and the broker under them: every decision is dealt
with once, in order.

``FACILITATOR_KILLS`` says how often one is killed (3); ``FACILITATOR_SEED`` when.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer
from example_streams.decided import LEARNERS, decision

from agents.topic_admin import create_topics
from agents.topics import DECISIONS
from client.decisions import DeliveredDecisions
from config.settings import FacilitatorSettings, KafkaSettings, Settings
from faults.command_process import CommandProcess
from faults.delivery_oracle import DeliveriesOnKafka
from schemas.errors import BrokerUnavailable
from schemas.fields import TREE_IDS
from schemas.state import encode
from servers.kafka import Kafka

KILLS = int(os.environ.get("FACILITATOR_KILLS", "3"))
SEED = int(os.environ.get("FACILITATOR_SEED", "7"))
RATE = 100
SLOTS = ("a", "b")
SECONDS = 120


class Facilitators:
    """One process for each slot, started again whenever it has ended."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._processes: dict[str, CommandProcess] = {}
        self._ended = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)

    def __enter__(self) -> Facilitators:
        self._supervisor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._supervisor.join()
        for process in self._processes.values():
            process.kill()

    def kill(self, slot: str) -> None:
        self._processes[slot].kill()

    def freeze(self, slot: str, seconds: float) -> None:
        process = self._processes[slot]
        process.freeze()
        time.sleep(seconds)
        process.wake()

    def logs(self) -> str:
        return "".join(file.read_text()[-2000:] for file in sorted(self._folder.glob("*.log")))

    def _supervise(self) -> None:
        while not self._ended.is_set():
            for slot in SLOTS:
                if slot not in self._processes or not self._processes[slot].alive:
                    self._processes[slot] = self._start(slot)
            self._ended.wait(0.2)

    def _start(self, slot: str) -> CommandProcess:
        worker = self._settings.worker.model_copy(update={"instance_id": slot})
        settings = self._settings.model_copy(update={"worker": worker})
        return CommandProcess("facilitator", settings, self._folder / f"facilitator-{slot}.log")


class Background:
    """Does `work` in a thread while the block runs; it looks at ``ended``."""

    def __init__(self, kafka: str) -> None:
        self.kafka = kafka
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self.work, daemon=True)

    def work(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Background:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._thread.join()


class Decisions(Background):
    """Decisions of 200 learners, about `RATE` a second."""

    def work(self) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self.kafka,
                "enable.idempotence": True,
                "message.timeout.ms": 300_000,
            }
        )
        chance, began, number = random.Random(SEED), time.monotonic(), 0
        while not self.ended.is_set():
            user = chance.randrange(len(LEARNERS))
            made = decision(number, LEARNERS[user], chance.choice(TREE_IDS))
            producer.produce(DECISIONS, encode(made), made.user_id, partition=user % 4)
            producer.poll(0)
            number += 1
            time.sleep(max(0.0, number / RATE - (time.monotonic() - began)))
        producer.flush(300)


class Service(Background):
    """A query-strategy service that takes most decisions, refuses some, and forgets others."""

    def work(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        while not self.ended.is_set():
            with contextlib.suppress(BrokerUnavailable):
                async with DeliveredDecisions(self.kafka, group_id="service") as decisions:
                    tasks = [asyncio.create_task(self._answer(decisions)) for _ in range(8)]
                    while not self.ended.is_set() and not any(task.done() for task in tasks):
                        await asyncio.sleep(0.1)
                    for task in tasks:
                        task.cancel()
                    await asyncio.wait(tasks)

    @staticmethod
    async def _answer(decisions: DeliveredDecisions) -> None:
        async for taken in decisions:
            mood = int(taken.delivery.delivery_id[:2], 16)
            if mood < 0x30:
                continue  # forgotten
            if mood < 0x50:
                await taken.fail("not today")
            else:
                await taken.ack()


def quick(settings: Settings) -> Settings:
    facilitator = FacilitatorSettings(ack_timeout_seconds=2, backoff=1.5, attempts=3)
    return settings.model_copy(update={"facilitator": facilitator})


def all_dealt_with(settings: Settings, facilitators: Facilitators) -> DeliveriesOnKafka:
    ends = time.monotonic() + SECONDS
    while (found := DeliveriesOnKafka(settings)).open():
        if time.monotonic() > ends:
            pytest.fail(f"{found.open()} decisions have come to no end\n{facilitators.logs()}")
        time.sleep(1)
    return found


def test_killed_and_frozen_at_any_moment(fresh_kafka: Settings, tmp_path: Path) -> None:
    settings, chance = quick(fresh_kafka), random.Random(SEED)
    kafka = settings.kafka.bootstrap_servers
    with Facilitators(settings, tmp_path) as facilitators, Service(kafka):
        with Decisions(kafka):
            time.sleep(5)
            for _ in range(KILLS):
                facilitators.kill(chance.choice(SLOTS))
                time.sleep(chance.uniform(0.5, 8))
                facilitators.freeze(chance.choice(SLOTS), chance.uniform(0, 2))
        found = all_dealt_with(settings, facilitators)
    found.assert_exact()
    assert found.final_statuses().keys() == {"success", "fail", "superseded", "timeout"}
    print(found.final_statuses())


def test_the_broker_killed_and_back(own_kafka: Callable[[], Kafka], tmp_path: Path) -> None:
    kafka = own_kafka()
    settings = quick(
        Settings(_env_file=None, kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap))
    )
    asyncio.run(create_topics(settings))
    with Facilitators(settings, tmp_path) as facilitators, Service(kafka.bootstrap):
        with Decisions(kafka.bootstrap):
            time.sleep(5)
            kafka.kill()
            time.sleep(3)
            kafka.start()
            time.sleep(5)
        found = all_dealt_with(settings, facilitators)
    found.assert_exact()
    assert found.final_statuses()["success"] > 0
