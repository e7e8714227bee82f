"""aiokafka's consumer, with one thing mended."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer

import client.closed_connections  # noqa: F401  # mends every connection of the process


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """Can be stopped while the broker is away.

    aiokafka lets the cancellation of a fetch of its own, which waits to be tried again, out of
    `stop`, as if whoever stops it had been cancelled, and leaves its connections open.
    """

    async def stop(self) -> None:
        try:
            await super().stop()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            await self._client.close()
