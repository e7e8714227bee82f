"""Whether a key is good: asked of PostgreSQL, and remembered for a short while.

- What was looked up is trusted for ``key_seconds``: so long does a revoked key go on at most.
- While PostgreSQL is away a key that was looked up before goes on for `GRACE_SECONDS`: decisions
  from Redis need not stop because keys cannot be looked up. A key that is not known yet then gets
  neither yes nor no, but `StoreUnavailable`.
- A key that expires does so at its time, remembered or not.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from schemas.errors import LearnerError, StoreUnavailable
from sinks.service_keys import ServiceKey

GRACE_SECONDS = 300.0
"""How long after its last look-up a key is good while PostgreSQL is away."""

_MOST_KNOWN, _MOST_UNKNOWN = 10_000, 1_000
_NOBODYS = ServiceKey("", "", bytes(32), (), datetime.max.replace(tzinfo=UTC), None, None)

Refusal = Literal["missing", "malformed", "unknown", "expired", "revoked"]


class KeyRefused(LearnerError):
    """A key that opens nothing. Its text tells no more than who has the secret knows anyway."""

    def __init__(self, reason: Refusal, said: str) -> None:
        super().__init__(said)
        self.reason = reason


class _Remembered(NamedTuple):
    key: ServiceKey | None
    asked_at: float


class Keys:
    """``find``: the key of a ``key_id``, or ``None``; it may raise `StoreUnavailable`.

    Args:
        seconds: ``LEARNER_API__KEY_SECONDS``.
        clock: seconds, never backwards.
        today: the time of day, for what expires.
    """

    def __init__(
        self,
        find: Callable[[str], Awaitable[ServiceKey | None]],
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._find, self._seconds, self._clock, self._today = find, seconds, clock, today
        self._known: OrderedDict[str, _Remembered] = OrderedDict()
        self._unknown: OrderedDict[str, _Remembered] = OrderedDict()
        self._asking: dict[str, asyncio.Task[ServiceKey | None]] = {}

    def is_known(self, key_id: str) -> bool:
        """Whether there was such a key when it was last looked up."""
        return key_id in self._known

    async def check(self, key_id: str, secret: str) -> ServiceKey:
        """The key, if it is good now.

        Raises:
            KeyRefused: there is none, the secret is not its own, or it has ended.
            StoreUnavailable: PostgreSQL is away, and the key was not looked up lately.
        """
        key = await self._look_up(key_id)
        # Compared in any case, so that it takes as long whether there is such a key or not.
        opened = (key or _NOBODYS).is_opened_by(secret)
        if key is None or not opened:
            raise KeyRefused("unknown", "there is no such key")
        if key.revoked_at is not None:
            raise KeyRefused("revoked", "this key was revoked: ask for a new one")
        if key.expires_at is not None and key.expires_at <= self._today():
            raise KeyRefused("expired", "this key has expired: ask for a new one")
        return key

    @property
    def any_trusted(self) -> bool:
        """Whether there is a key that would be good now, were PostgreSQL away."""
        return any(self._age(kept) <= GRACE_SECONDS for kept in self._known.values())

    async def _look_up(self, key_id: str) -> ServiceKey | None:
        kept = self._known.get(key_id) or self._unknown.get(key_id)
        if kept is not None and self._age(kept) < self._seconds:
            return kept.key
        try:
            return await self._asked(key_id)
        except StoreUnavailable:
            if kept is None or kept.key is None or self._age(kept) > GRACE_SECONDS:
                raise
            return kept.key

    async def _asked(self, key_id: str) -> ServiceKey | None:
        """Once for all who ask at the same time; one of them leaving does not end it."""
        task = self._asking.get(key_id)
        if task is None:
            task = self._asking[key_id] = asyncio.create_task(self._ask(key_id))
            task.add_done_callback(lambda done: self._asked_for(key_id, done))
        return await asyncio.shield(task)

    async def _ask(self, key_id: str) -> ServiceKey | None:
        asked_at = self._clock()
        key = await self._find(key_id)
        there, away = (self._unknown, self._known) if key is None else (self._known, self._unknown)
        away.pop(key_id, None)
        there[key_id] = _Remembered(key, asked_at)
        there.move_to_end(key_id)
        if len(there) > (_MOST_UNKNOWN if key is None else _MOST_KNOWN):
            there.popitem(last=False)
        return key

    def _asked_for(self, key_id: str, done: asyncio.Task[ServiceKey | None]) -> None:
        del self._asking[key_id]
        if not done.cancelled():
            done.exception()  # looked at, in case that nobody waits for it any more

    def _age(self, kept: _Remembered) -> float:
        return self._clock() - kept.asked_at
