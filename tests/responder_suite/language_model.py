"""A responder of a language model for tests: its server is played, its budget needs no Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pydantic import SecretStr

from chat.built_in import BuiltIn
from chat.context import Passages
from chat.llm import Llm
from chat.llm_request import client_session
from chat.responder import Part, Start
from config.settings import ResponderSettings
from schemas.chat_frames import Notice
from schemas.errors import StoreUnavailable

KEY = "sk-a-secret-key"
SECONDS = 6.0
LLM = "llm:tutor"


class Purse:
    """A budget without Redis."""

    def __init__(self, tokens: int = 1_000_000) -> None:
        self.tokens = tokens
        self.away = False

    async def left(self, session: str) -> int:
        if self.away:
            raise StoreUnavailable("redis: nobody answers")
        return self.tokens

    async def spend(self, session: str, tokens: int) -> None:
        self.tokens -= tokens


def quick(url: str, **changes: object) -> ResponderSettings:
    given = {
        "llm_url": url,
        "llm_key": SecretStr(KEY),
        "llm_model": "tutor",
        "first_token_seconds": 2.0,
        "next_token_seconds": 1.0,
        "answer_seconds": SECONDS,
        **changes,
    }
    return ResponderSettings.model_validate(given)


@asynccontextmanager
async def asking(
    url: str, purse: Purse, passages: Passages | None = None, **changes: object
) -> AsyncIterator[Llm]:
    """One that asks at the address, in the settings that `quick` makes."""
    settings = quick(url, **changes)
    async with client_session(settings) as session:
        yield Llm(settings, session, purse, BuiltIn(), passages, chance=lambda: 0.0)


def notices(parts: Sequence[Part]) -> list[str]:
    return [part.code for part in parts if isinstance(part, Notice)]


def starts(parts: Sequence[Part]) -> list[str]:
    return [part.responder for part in parts if isinstance(part, Start)]
