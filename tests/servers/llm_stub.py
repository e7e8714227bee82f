"""A language model's server for tests, in the test's own process: it does whatever it is told."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from servers.kafka import free_ports

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""What happens to one request."""


class LlmStub:
    """``asked``: the requests' bodies; ``headers``: their headers; ``open``: how many are being
    answered now."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.open = 0
        self._plays: list[Behaviour] = [says("Hello")]

    def plays(self, *behaviours: Behaviour) -> None:
        """One for each request to come; the last one for all that follow."""
        self._plays = list(behaviours)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        self.headers.append(dict(request.headers))
        behaviour = self._plays.pop(0) if len(self._plays) > 1 else self._plays[0]
        self.open += 1
        try:
            return await behaviour(request)
        finally:
            self.open -= 1


@asynccontextmanager
async def llm_stub(tls: ssl.SSLContext | None = None) -> AsyncIterator[LlmStub]:
    """Runs while the block does. Requests are cancelled when their client goes."""
    (port,) = free_ports(1)
    stub = LlmStub(f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1")
    app = web.Application()
    app.router.add_post("/v1/chat/completions", stub.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    try:
        yield stub
    finally:
        await runner.cleanup()


def chunk(text: str | None = None, finish: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def event(told: Any) -> bytes:
    return b"data: " + json.dumps(told).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def sends(*parts: bytes | float, kind: str = "text/event-stream", ends: str = "") -> Behaviour:
    """Bytes, and pauses in seconds. ``ends``: "" in good order, "reset": the connection breaks,
    "stall": nothing follows, "again": all of it once more, for ever."""

    async def behaviour(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        while True:
            for part in parts:
                if isinstance(part, float):
                    await asyncio.sleep(part)
                else:
                    await response.write(part)
            if ends != "again":
                break
            await asyncio.sleep(0)
        if ends == "stall":
            await asyncio.Event().wait()
        if ends == "reset" and request.transport is not None:
            request.transport.abort()
        return response

    return behaviour


def says(*texts: str, usage: tuple[int, int] | None = None) -> Behaviour:
    """A whole answer as it should be."""
    counted = []
    if usage is not None:
        counts = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
        counted = [event({"choices": [], "usage": counts})]
    return sends(*map(chunk, texts), chunk(finish="stop"), *counted, DONE)


def answers(status: int, body: str = "", **headers: str) -> Behaviour:
    """A status without a stream; ``retry_after`` becomes ``Retry-After``."""

    async def behaviour(_: web.Request) -> web.StreamResponse:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=body, headers=told)

    return behaviour


def stalls() -> Behaviour:
    """Not even a status comes."""

    async def behaviour(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    return behaviour


def breaks_off() -> Behaviour:
    """The connection ends before a status."""

    async def behaviour(request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    return behaviour
