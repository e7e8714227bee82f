"""Tokens of the language model: what a text has about, and what a session has used of its own."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import Any

from config.settings import RedisSettings
from sinks.redis import connect, redis_errors

_BYTES_PER_TOKEN = 3
"""Fewer than most tokenizers need (some 4 in English), so that an estimate is rather too high."""
_TOKENS_PER_MESSAGE = 4


def estimated_tokens(texts: Iterable[str]) -> int:
    """About how many tokens messages have, where the server does not say."""
    return sum(_TOKENS_PER_MESSAGE + ceil(len(t.encode()) / _BYTES_PER_TOKEN) for t in texts)


class TokenBudget:
    """``chat:used:{session}``: tokens that a session has used; forgotten after ``seconds`` of
    silence. Every method raises `StoreUnavailable` while Redis is away."""

    def __init__(self, settings: RedisSettings, most: int, seconds: int) -> None:
        self._client: Any = connect(settings)
        self._most = most
        self._seconds = seconds

    async def close(self) -> None:
        await self._client.aclose()

    async def left(self, session: str) -> int:
        with redis_errors(self._client):
            used = await self._client.get(_key(session))
        return self._most - int(used or 0)

    async def spend(self, session: str, tokens: int) -> None:
        with redis_errors(self._client):
            pipeline = self._client.pipeline(transaction=True)
            pipeline.incrby(_key(session), tokens)
            pipeline.expire(_key(session), self._seconds)
            await pipeline.execute()


def _key(session: str) -> str:
    return f"chat:used:{session}"
