"""The responder that asks a language model, and the built-in one where there is none to ask.

    1. budget   tokens that the session may still use; none left → `budget_spent`, built-in
    2. ask      up to ``tries`` times with a growing pause, all within ``answer_seconds``
    3. else     `llm_away`, and the built-in responder answers

What was shown of a try that broke off is void: whoever answers next begins with a `Start`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
import structlog

from agents.metrics_chat import ResponderMetrics
from chat.context import ContextMessage, Passages, context
from chat.live_queue import session_name
from chat.llm_failure import Breaker, LlmFailed
from chat.llm_request import Try, pieces
from chat.llm_sse import Usage
from chat.llm_tokens import estimated_tokens
from chat.responder import MAX_ANSWER_CHARACTERS, Part, Responder, Start, Turn, plain
from config.settings import ResponderSettings
from schemas.chat_frames import Notice
from schemas.errors import InvalidSetting, StoreUnavailable

log = structlog.get_logger(__name__)

LEAST_TOKENS = 16
"""An answer of fewer is none."""

_AWAY = Notice(
    code="llm_away",
    text="The language model does not answer now, so the built-in tutor does. Ask again later for "
    "a fuller answer.",
)
_SPENT = Notice(
    code="budget_spent",
    text="This session has used up its share of the language model. The built-in tutor goes on.",
)
_CHARACTERS_PER_TOKEN = 6
_FAILURES, _OPEN_SECONDS = 5, 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_PASSAGE_SECONDS = 0.3
_PASSAGE_FAILURES, _NO_PASSAGES_SECONDS = 3, 60.0
_REDIS_SECONDS = 1.0


class Budget(Protocol):
    """See `chat.llm_tokens.TokenBudget`."""

    async def left(self, session: str) -> int: ...
    async def spend(self, session: str, tokens: int) -> None: ...


class Llm:
    """A responder; ``answer`` always ends with text, by whomever, within ``answer_seconds``.

    Args:
        session: of `chat.llm_request.client_session`.
        otherwise: who answers where the model does not; needs no time.
        passages: finds what was said in earlier sessions; slow or away, there are none.
        chance: 0–1, so that not all who wait ask again at the same moment.

    Raises:
        InvalidSetting: ``llm_url`` is no address.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        settings: ResponderSettings,
        session: aiohttp.ClientSession,
        budget: Budget,
        otherwise: Responder,
        passages: Passages | None = None,
        metrics: ResponderMetrics | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        check_address(settings)
        self._settings = settings
        self._session = session
        self._budget = budget
        self._otherwise = otherwise
        self._passages = passages
        self._metrics = metrics
        self._chance = chance
        self._breaker = Breaker(_FAILURES, _OPEN_SECONDS)
        self._passage_breaker = Breaker(_PASSAGE_FAILURES, _NO_PASSAGES_SECONDS)
        self.name = f"llm:{plain(settings.llm_model).strip()}"[:255]

    async def answer(self, turn: Turn) -> AsyncGenerator[Part, None]:
        ends = _now() + self._settings.answer_seconds
        notice = _AWAY
        if self._breaker.lets(_now()):
            messages = context(turn, await self._found(turn), self._settings.recent_turns)
            room = await self._room(turn, messages)
            if room < LEAST_TOKENS:
                notice = _SPENT
            else:
                outcome = _Outcome()
                async with aclosing(self._asked(turn, messages, room, ends, outcome)) as parts:
                    async for part in parts:
                        yield part
                if outcome.answered:
                    return
        yield notice
        async with aclosing(self._otherwise.answer(turn)) as parts:
            async for part in parts:
                yield part

    async def _asked(
        self,
        turn: Turn,
        messages: Sequence[ContextMessage],
        room: int,
        ends: float,
        outcome: _Outcome,
    ) -> AsyncGenerator[Part, None]:
        pause = _FIRST_PAUSE
        for number in range(1, self._settings.tries + 1):
            yield Start(self.name, turn.record.hint_used)
            try:
                async with aclosing(self._once(turn, messages, room, ends)) as texts:
                    async for text in texts:
                        yield text
                self._breaker.answered()
                outcome.answered = True
                return
            except LlmFailed as failed:
                self._failed(failed, number)
                wait = failed.pause or pause * (1 + self._chance()) / 2
                if not failed.again or number == self._settings.tries or _now() + wait >= ends:
                    return
            await asyncio.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)
            room = await self._room(turn, messages)
            if room < LEAST_TOKENS:
                return

    async def _once(
        self, turn: Turn, messages: Sequence[ContextMessage], room: int, ends: float
    ) -> AsyncGenerator[str, None]:
        """One try; its tokens are counted however it ends."""
        asked = Try(
            [message._asdict() for message in messages],
            room,
            min(MAX_ANSWER_CHARACTERS, room * _CHARACTERS_PER_TOKEN),
            ends,
        )
        began, said = _now(), ""
        try:
            async with aclosing(pieces(self._session, self._settings, asked)) as texts:
                async for text in texts:
                    if not said and self._metrics:
                        self._metrics.first_token(_now() - began)
                    said += text
                    yield text
        finally:
            if said or asked.usage:
                await self._spend(turn, messages, said, asked.usage)
        if not plain(said).strip():
            raise LlmFailed("empty")

    async def _room(self, turn: Turn, messages: Sequence[ContextMessage]) -> int:
        """Tokens that an answer may have."""
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                left = await self._budget.left(_session(turn))
        except (StoreUnavailable, TimeoutError) as error:
            # Requests come from the same Redis, so there won't be many of these.
            log.warning("session's tokens are not known", reason=str(error) or "slow")
            left = self._settings.session_tokens
        shown = estimated_tokens([message.content for message in messages])
        return min(self._settings.answer_tokens, left - shown)

    async def _spend(
        self, turn: Turn, messages: Sequence[ContextMessage], said: str, usage: Usage | None
    ) -> None:
        if usage is None:
            shown = estimated_tokens([message.content for message in messages])
            usage = Usage(shown, estimated_tokens([said]))
        if self._metrics:
            self._metrics.tokens(*usage)
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                await self._budget.spend(_session(turn), sum(usage))
        except (StoreUnavailable, TimeoutError) as error:
            reason = str(error) or "slow"
            log.warning("session's tokens are not counted", tokens=sum(usage), reason=reason)

    async def _found(self, turn: Turn) -> Sequence[str]:
        most, record = self._settings.passages, turn.record
        if self._passages is None or not most or not self._passage_breaker.lets(_now()):
            return ()
        try:
            async with asyncio.timeout(_PASSAGE_SECONDS):
                found = await self._passages.find(
                    record.user_id, record.session_id, record.message_text, most
                )
        except Exception as error:  # whatever it is, an answer is worth more
            self._passage_breaker.failed(_now())
            log.info("no passages of earlier sessions", reason=str(error) or "too slow")
            return ()
        self._passage_breaker.answered()
        return found[:most]

    def _failed(self, failed: LlmFailed, number: int) -> None:
        log.warning("language model gave no answer", reason=str(failed), tries=number)
        if failed.away:
            self._breaker.failed(_now())
        if self._metrics:
            self._metrics.llm_error(failed.kind)


class _Outcome:
    answered = False


def check_address(settings: ResponderSettings) -> None:
    """Raises: InvalidSetting, if a key would go out, or a request, to no web address."""
    url = urlsplit(settings.llm_url or "")
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
        raise InvalidSetting(
            f"LEARNER_RESPONDER__LLM_URL: {settings.llm_url!r} is no base URL such as "
            "https://host/v1"
        )
    if settings.llm_key is not None and url.scheme == "http":
        log.warning("the language model's key is sent without TLS", host=url.hostname)


def _session(turn: Turn) -> str:
    return session_name(turn.record.user_id, turn.record.session_id)


def _now() -> float:
    return asyncio.get_running_loop().time()
