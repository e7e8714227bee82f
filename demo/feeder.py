"""Sends the events of a class, never further ahead of the worker than the broker can hold."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from aiokafka import AIOKafkaProducer

from agents import topics
from agents.kafka_client import connection
from config.settings import KafkaSettings
from simulation.disturbance import event_id_of, routing_key

PACED_EVENTS = 600
PACE_PER_SECOND = 150.0
MOST_UNDER_WAY = 800
"""The embedded broker keeps about 5 MB of a partition; so many make up to 3 MB of decisions."""
_POLL_SECONDS = 0.01
_CHECK_EVERY = 50
_LONGEST_WAIT_SECONDS = 30.0

Progress = Callable[[int, int], None]
"""Called with (records handled, records in all)."""


class Feeder:
    """``on_worker`` takes the worker's progress; ``sent_at`` gets when each paced event left."""

    def __init__(self, kafka: KafkaSettings, sent_at: dict[str, float]) -> None:
        self._kafka = kafka
        self._sent_at = sent_at
        self._handled = 0
        self.sent = 0
        self.events_per_s = 0.0

    def on_worker(self, outcomes: Counter[str]) -> None:
        self._handled = outcomes.total()

    async def send(self, lines: list[bytes], on_progress: Progress) -> None:
        """All lines: the first as fast as they are taken, the last `PACED_EVENTS` at their pace."""
        bulk, paced = lines[:-PACED_EVENTS], lines[-PACED_EVENTS:]
        async with AIOKafkaProducer(**connection(self._kafka), linger_ms=2) as producer:
            await self._send_bulk(producer, bulk, lambda done: on_progress(done, len(lines)))
            began = time.perf_counter()
            for number, line in enumerate(paced):
                due = began + number / PACE_PER_SECOND - time.perf_counter()
                if due > 0:
                    await asyncio.sleep(due)
                self._sent_at.setdefault(event_id_of(line), time.perf_counter())
                await self._send_one(producer, line)
            await producer.flush()
            await self._until_handled(len(lines), lambda done: on_progress(done, len(lines)))

    async def _send_bulk(
        self, producer: AIOKafkaProducer, lines: list[bytes], told: Callable[[int], None]
    ) -> None:
        began = time.perf_counter()
        for line in lines:
            if self.sent % _CHECK_EVERY == 0:
                await self._until_handled(self.sent - MOST_UNDER_WAY, told)
                if not self._handled:
                    began = time.perf_counter()  # the worker is still joining its group
            await self._send_one(producer, line)
        await producer.flush()
        await self._until_handled(len(lines), told)
        self.events_per_s = len(lines) / (time.perf_counter() - began)

    async def _send_one(self, producer: AIOKafkaProducer, line: bytes) -> None:
        await producer.send(topics.EVENTS, line, routing_key(line))
        self.sent += 1

    async def _until_handled(self, count: int, told: Callable[[int], None]) -> None:
        """Gives up after a while without a step forward: the figures then show what is missing."""
        at, moved = self._handled, time.perf_counter()
        while self._handled < count and time.perf_counter() - moved < _LONGEST_WAIT_SECONDS:
            told(self._handled)
            await asyncio.sleep(_POLL_SECONDS)
            if self._handled != at:
                at, moved = self._handled, time.perf_counter()
        told(self._handled)
