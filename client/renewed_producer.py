"""A producer that is replaced once it has failed.

One that failed to deliver may refuse for ever what comes after: its numbering has a gap then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

log = logging.getLogger(__name__)

_STOP_SECONDS = 10.0
"""For what was handed over and is still on its way."""


class RenewedProducer:
    """``made``: a producer, not started."""

    def __init__(self, made: Callable[[], AIOKafkaProducer]) -> None:
        self._made = made
        self._producer: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()

    async def current(self) -> AIOKafkaProducer:
        """The one in use; a new one at first, and after one was given up.

        Raises:
            KafkaError: no Kafka answers.
        """
        if self._producer is not None:
            return self._producer
        async with self._renewing:
            if self._producer is None:
                self._producer = await self._started()
            return self._producer

    def give_up(self, producer: AIOKafkaProducer) -> None:
        """It has failed: the next record gets a new one, if none has already."""
        if self._producer is producer:
            log.warning("the producer failed: the next record gets a new one")
            self._producer = None
            task = asyncio.create_task(_stop(producer))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

    async def stop(self) -> None:
        """Once Kafka has what was handed over, if it takes it in time."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)
        await asyncio.gather(*self._stopping)

    async def _started(self) -> AIOKafkaProducer:
        producer = self._made()
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer


async def _stop(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(KafkaError, TimeoutError):
        await asyncio.wait_for(producer.stop(), _STOP_SECONDS)
