"""One try of a language model: asks once, and gives its words as they come.

    POST {base}/chat/completions   with ``stream: true``; any OpenAI-compatible server

Ends by itself whatever the server does: in time, and after so many characters.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from chat.llm_failure import FailureKind, LlmFailed, refusal
from chat.llm_sse import DONE, Chunk, EventReader, Usage, chunk_of
from config.settings import ResponderSettings

MAX_STREAM_BYTES = 4 * 1024 * 1024
CUT = " …"
"""The end of an answer that is longer than it may be."""

_USAGE_SECONDS = 1.0
"""How long what the server counted may follow the end of the answer."""

Messages = Sequence[dict[str, str]]
"""``role`` and ``content`` of each."""


@dataclass
class Try:
    """``ends``: when all tries end, in seconds of the event loop's clock. ``most_tokens`` and
    ``most_characters``: of the answer. ``usage``: what the server counted, if it said."""

    messages: Messages
    most_tokens: int
    most_characters: int
    ends: float
    usage: Usage | None = None


def client_session(settings: ResponderSettings) -> aiohttp.ClientSession:
    """Connections to the model's server: certificates checked, no cookies, no proxies by variable.

    Bodies stay as they came: one that was compressed could unpack to any size.
    """
    headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
    if settings.llm_key is not None:
        headers["Authorization"] = f"Bearer {settings.llm_key.get_secret_value()}"
    return aiohttp.ClientSession(
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),  # ours are narrower, and stand in `pieces`
        connector=aiohttp.TCPConnector(limit=0),
    )


async def pieces(
    session: aiohttp.ClientSession, settings: ResponderSettings, asked: Try
) -> AsyncGenerator[str, None]:
    """The answer's text, all that has come at a time.

    Raises:
        LlmFailed: no answer, or one that broke off.
    """
    now = asyncio.get_running_loop().time
    waits = min(now() + settings.first_token_seconds, asked.ends)
    length, finish = 0, ""
    try:
        async with _answering(session, settings, asked, waits) as chunks:
            while (chunk := await _next(chunks, waits)) is not None:
                asked.usage = chunk.usage or asked.usage
                finish = chunk.finish or finish
                text = chunk.text[: asked.most_characters - length]
                length += len(text)
                if text:
                    yield text
                    # Only words count: a server may send signs of life for ever.
                    waits = min(now() + settings.next_token_seconds, asked.ends)
                if finish:
                    waits = min(now() + _USAGE_SECONDS, asked.ends)
                if length == asked.most_characters:
                    finish = "length"
                    break
    except TimeoutError:
        if not finish and length and waits == asked.ends:
            finish = "length"
        elif not finish:
            raise LlmFailed("stalled" if length else "slow_start") from None
    except (aiohttp.ClientError, OSError) as error:
        if not finish:
            kind: FailureKind = "broke_off" if length else "connection"
            raise LlmFailed(kind, type(error).__name__) from None
    if not length:
        raise LlmFailed("empty")
    if not finish:
        raise LlmFailed("broke_off", "the stream ended in mid-answer")
    if finish == "length":
        yield CUT


@asynccontextmanager
async def _answering(
    session: aiohttp.ClientSession, settings: ResponderSettings, asked: Try, waits: float
) -> AsyncIterator[AsyncGenerator[Chunk, None]]:
    async with asyncio.timeout_at(waits):
        response = await session.post(
            f"{(settings.llm_url or '').rstrip('/')}/chat/completions",
            json=_body(settings, asked),
            allow_redirects=False,
        )
    try:
        _check(response)
        async with aclosing(_chunks(response.content)) as chunks:
            yield chunks
    finally:
        response.close()  # with its connection: there may be more to come, without an end


async def _next(chunks: AsyncGenerator[Chunk, None], waits: float) -> Chunk | None:
    """The next chunk, ``None`` at the end.

    Raises:
        TimeoutError: it is too late for one, even if there are some.
    """
    if asyncio.get_running_loop().time() >= waits:
        raise TimeoutError
    async with asyncio.timeout_at(waits):
        return await anext(chunks, None)


def _body(settings: ResponderSettings, asked: Try) -> dict[str, Any]:
    return {
        "model": settings.llm_model,
        "messages": list(asked.messages),
        "max_tokens": asked.most_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _check(response: aiohttp.ClientResponse) -> None:
    if response.status != 200:
        raise refusal(response.status, response.headers.get("Retry-After"), datetime.now(UTC))
    if response.content_type != "text/event-stream":
        raise LlmFailed("not_a_stream", "no text/event-stream came")


async def _chunks(content: aiohttp.StreamReader) -> AsyncGenerator[Chunk, None]:
    """Up to ``[DONE]``; of what came at once the text is joined."""
    reader = EventReader()
    size = 0
    async for raw in content.iter_any():
        size += len(raw)
        if size > MAX_STREAM_BYTES:
            raise LlmFailed("rubbish", f"more than {MAX_STREAM_BYTES:,} bytes")
        told = Chunk()
        for data in reader.feed(raw):
            if data.strip() == DONE:
                yield told._replace(finish=told.finish or "stop")
                return
            chunk = chunk_of(data)
            if chunk is not None:
                told = Chunk(
                    told.text + chunk.text,
                    chunk.finish or told.finish,
                    chunk.usage or told.usage,
                )
        yield told
