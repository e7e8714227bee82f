"""The HTTP service: its routes, and its life from listening to the last answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from agents.full_collections import rare_full_collections
from agents.metrics_api import ApiMetrics
from api.admission import admit
from api.answering import WithoutGarbage, add_headers, answer
from api.chat_tokens import make_chat_token
from api.decisions import decision, decisions
from api.event_stream import events
from api.health import healthz, metrics, readyz
from api.limits import Limits
from api.openapi import openapi
from api.service import SERVICE, Service
from chat.tokens import check_secret
from config.settings import Settings
from schemas.errors import InvalidSetting

_LEARNER = "/v1/learners/{user_id}/decisions"
_LAST_ANSWERS_SECONDS = 5.0


def application(service: Service) -> web.Application:
    """Everything that is answered. ``…/events`` comes before the trees, of which it is none."""
    app = web.Application(middlewares=[answer, admit], client_max_size=service.limits.body_bytes)
    app[SERVICE] = service
    app.on_response_prepare.append(add_headers)
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
            web.get("/openapi.json", openapi),
            web.get(_LEARNER, decisions),
            web.get(f"{_LEARNER}/events", events, allow_head=False),
            web.get(f"{_LEARNER}/{{tree_id}}", decision),
            web.post("/v1/chat/tokens", make_chat_token),
        ]
    )
    return app


@asynccontextmanager
async def listening(
    settings: Settings, counted: ApiMetrics, limits: Limits | None = None
) -> AsyncIterator[tuple[str, int, asyncio.Task[None]]]:
    """The service as long as this lasts: host, port, and the task without which it is no good.

    Raises:
        InvalidSetting: the port is taken, the chat's secret too short, a store's address none.
    """
    if settings.chat.token_secret is not None:
        check_secret(settings.chat.token_secret.get_secret_value())
    limits = limits or Limits()
    service = Service(settings, limits, counted)
    await service.stores.open()
    watching = asyncio.create_task(service.watch.run())
    runner = web.AppRunner(
        application(service),
        access_log=None,
        logger=_http_logger(),
        auto_decompress=False,  # a coded body is refused, and one that is not decoded cannot fail
        handler_cancellation=True,  # who left does not keep a seat
        keepalive_timeout=limits.idle_seconds,
        max_line_size=4 * limits.target_bytes,
        max_field_size=limits.header_bytes,
        max_headers=limits.headers,
        shutdown_timeout=_LAST_ANSWERS_SECONDS,
    )
    try:
        await runner.setup()
        site = web.TCPSite(runner, settings.api.host, settings.api.port)
        try:
            await site.start()
        except OSError as error:
            raise InvalidSetting(
                f"LEARNER_API__HOST, LEARNER_API__PORT: cannot listen on {settings.api.host}:"
                f"{settings.api.port}: {error.strerror or error}"
            ) from None
        host, port = runner.addresses[0][:2]
        yield host, port, watching
    finally:
        service.stop_waiting()
        await runner.cleanup()
        watching.cancel()
        await asyncio.wait({watching})
        await service.close()


async def serve(
    settings: Settings, stop: asyncio.Event, counted: ApiMetrics, say: Callable[[str, int], None]
) -> None:
    """Answers until ``stop`` is set; ``say`` is told host and port once it listens."""
    async with (
        rare_full_collections(),
        listening(settings, counted) as (host, port, watching),
    ):
        say(host, port)
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({stopped, watching}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()  # raises what ended it: nobody would be told of changes any more
        stopped.cancel()


def _http_logger() -> logging.Logger:
    logger = logging.getLogger("learner.api.http")
    if not any(isinstance(each, WithoutGarbage) for each in logger.filters):
        logger.addFilter(WithoutGarbage())
    return logger
