"""Facilitators killed and frozen while decisions come in and a service answers: every decision is
dealt with once, in order."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Producer
from example_streams.decided import LEARNERS, decision

from agents.topics import DECISIONS
from client.decisions import DeliveredDecisions
from config.settings import FacilitatorSettings, Settings
from faults.command_at_a_moment import variables
from faults.command_process import CommandProcess
from faults.delivery_oracle import Deliveries, deliveries_on_kafka
from faults.fault import Outcome, Progress, on_fresh_topics
from schemas.contract import encode
from schemas.errors import BrokerUnavailable
from schemas.fields import TREE_IDS
from servers.kafka import Kafka

SLOTS = ("a", "b")
_RATE = 100
_PARTITIONS = 4
_MOMENTS = ("fenced", "before", "sent", "committed", None)
_MOMENT_SECONDS = 60.0
_SETTLE_SECONDS = 120.0


class FacilitatorFault(NamedTuple):
    """A round is one kill, at a moment of a transaction or at any time, and a freeze after it."""

    name: str
    about: str
    asked: int
    together: int = 10

    def run(
        self,
        bootstrap: str,
        rounds: int,
        seed: int,
        broker: Kafka | None = None,
        progress: Progress = lambda _: None,
    ) -> Outcome:
        """See `faults.fault.Fault`."""
        began, chance = time.monotonic(), random.Random(f"{self.name}/{seed}")
        settings = quick(on_fresh_topics(bootstrap, _PARTITIONS))
        with tempfile.TemporaryDirectory(prefix="learner-faults-") as folder:
            with Facilitators(settings, Path(folder)) as facilitators, Service(settings):
                with Decisions(settings, seed):
                    time.sleep(5)
                    for number in range(rounds):
                        moment, slot = chance.choice(_MOMENTS), chance.choice(SLOTS)
                        progress(f"{self.name} seed {seed}, round {number + 1}: {slot}, {moment}")
                        if moment is None:
                            facilitators.kill(slot)
                        else:
                            nth = chance.randint(1, 2 if moment == "fenced" else 20)
                            facilitators.kill_at(slot, moment, nth)
                        time.sleep(chance.uniform(0.5, 8))
                        facilitators.freeze(chance.choice(SLOTS), chance.uniform(0, 2))
                found = dealt_with(settings, progress)
                if found.open():
                    progress(facilitators.logs())
        compared = found.compared()
        notes = {status: float(count) for status, count in found.final_statuses().items()}
        return Outcome(rounds, compared, time.monotonic() - began, notes)


class Facilitators:
    """One process for each slot, started again whenever it has ended."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._processes: dict[str, CommandProcess] = {}
        self._changing = threading.Lock()
        self._ended = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)

    def __enter__(self) -> Facilitators:
        for slot in SLOTS:
            self._start(slot)
        self._supervisor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._supervisor.join()
        for process in self._processes.values():
            process.kill()

    def kill(self, slot: str) -> None:
        self._processes[slot].kill()

    def kill_at(self, slot: str, moment: str, nth: int) -> None:
        """Killed and started again, to kill itself at a moment; over when it has.

        Raises:
            subprocess.TimeoutExpired: the moment did not come.
            AssertionError: it left before.
        """
        with self._changing:
            self._processes[slot].kill()
            process = self._start(slot, variables(moment, nth, "kill"))
        code = process.wait(_MOMENT_SECONDS)
        assert code == -signal.SIGKILL, f"{slot} left with {code} before {moment}\n{self.logs()}"

    def freeze(self, slot: str, seconds: float) -> None:
        process = self._processes[slot]
        process.freeze()
        time.sleep(seconds)
        process.wake()

    def logs(self) -> str:
        return "".join(file.read_text()[-2000:] for file in sorted(self._folder.glob("*.log")))

    def _supervise(self) -> None:
        while not self._ended.wait(0.2):
            with self._changing:
                for slot in SLOTS:
                    if not self._processes[slot].alive:
                        self._start(slot)

    def _start(self, slot: str, fault: Mapping[str, str] | None = None) -> CommandProcess:
        worker = self._settings.worker.model_copy(update={"instance_id": slot})
        settings = self._settings.model_copy(update={"worker": worker})
        log = self._folder / f"facilitator-{slot}.log"
        process = self._processes[slot] = CommandProcess("facilitator", settings, log, fault)
        return process


class Background:
    """Does `work` in a thread while the block runs; it looks at ``ended``."""

    def __init__(self, settings: Settings) -> None:
        self.kafka = settings.kafka.bootstrap_servers
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
    """Decisions of 200 learners, about `_RATE` a second, the same for a seed."""

    def __init__(self, settings: Settings, seed: int) -> None:
        super().__init__(settings)
        self._chance = random.Random(seed)

    def work(self) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self.kafka,
                "enable.idempotence": True,
                "message.timeout.ms": 300_000,
            }
        )
        began, number = time.monotonic(), 0
        while not self.ended.is_set():
            user = self._chance.randrange(len(LEARNERS))
            made = decision(number, LEARNERS[user], self._chance.choice(TREE_IDS))
            producer.produce(DECISIONS, encode(made), made.user_id, partition=user % _PARTITIONS)
            producer.poll(0)
            number += 1
            time.sleep(max(0.0, number / _RATE - (time.monotonic() - began)))
        producer.flush(300)


class Service(Background):
    """A query-strategy service that takes most decisions, refuses some, and forgets others."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._group = f"{settings.worker.app_id}-service"

    def work(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        while not self.ended.is_set():
            with contextlib.suppress(BrokerUnavailable):
                async with DeliveredDecisions(self.kafka, group_id=self._group) as decisions:
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
    """So that a delivery that nobody answers comes to its end within seconds."""
    facilitator = FacilitatorSettings(ack_timeout_seconds=2, backoff=1.5, attempts=3)
    return settings.model_copy(update={"facilitator": facilitator})


def dealt_with(settings: Settings, progress: Progress) -> Deliveries:
    """Once every decision has come to an end, or nothing more can be hoped for."""
    ends = time.monotonic() + _SETTLE_SECONDS
    while (found := deliveries_on_kafka(settings)).open() and time.monotonic() < ends:
        time.sleep(1)
    progress(f"{found.open()} decisions have come to no end")
    return found
