"""What every request may need, in one place: made when the process starts, closed when it ends."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from aiohttp import web

from agents.metrics_api import ApiMetrics
from api.keys import Keys
from api.latest import Latest, latest_of
from api.limits import Limits, Seats
from api.stores import Stores
from api.watch import Watch
from chat.rate_limit import Buckets
from config.settings import Settings
from schemas.errors import StoreUnavailable
from schemas.fields import TreeId
from sinks.service_keys import ServiceKey, find_key


class Service:
    """Made within the event loop."""

    def __init__(self, settings: Settings, limits: Limits, metrics: ApiMetrics) -> None:
        self.settings, self.limits, self.metrics = settings, limits, metrics
        self.stores = Stores(settings.redis, settings.postgres, limits)
        self.watch = Watch(self.stores)
        self.keys = Keys(self._find_key, settings.api.key_seconds)
        self.seats = Seats(limits.waiters_of_a_key, limits.waiters)
        self.requests = Buckets(limits.requests_per_second, limits.requests_at_once)
        self.refusals = Buckets(limits.refusals_per_second, limits.refusals_at_once)
        self.stopping = False
        self._health: tuple[float, tuple[bool, bool]] = (-math.inf, (False, False))

    async def latest(self, user_id: str, trees: Sequence[TreeId]) -> Latest:
        """Raises: StoreUnavailable."""
        latest = await latest_of(self.stores, user_id, trees)
        for delivery in latest.found.values():
            self.metrics.cache(hit=delivery is not None and delivery.cache_hit)
        return latest

    async def health(self) -> tuple[bool, bool]:
        """Whether Redis and PostgreSQL answer, as of the last second: anybody may ask this."""
        now = asyncio.get_running_loop().time()
        at, known = self._health
        if now - at >= 1:
            redis, postgres = await asyncio.gather(self._redis_answers(), self._postgres_answers())
            known = (redis, postgres)
            self._health = (now, known)
        return known

    async def _redis_answers(self) -> bool:
        try:
            with self.stores.redis() as client:
                await client.ping()
        except StoreUnavailable:
            return False
        return True

    async def _postgres_answers(self) -> bool:
        try:
            async with self.stores.postgres() as connection:
                await connection.execute("SELECT FROM service_keys, deliveries LIMIT 0")
        except StoreUnavailable:
            return False
        return True

    def stop_waiting(self) -> None:
        """Who waits is answered now."""
        self.stopping = True
        self.watch.wake_all()

    async def close(self) -> None:
        await self.stores.close()

    async def _find_key(self, key_id: str) -> ServiceKey | None:
        async with self.stores.postgres() as connection:
            return await find_key(connection, key_id)


SERVICE = web.AppKey("service", Service)
