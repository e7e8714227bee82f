"""The chat gateway: learners and experts on WebSockets, Kafka and Redis behind.

    a frame → events on learner.events → the worker → chat.messages → Redis → every gateway → frames

A gateway keeps nothing that is not on Kafka: killed, it has lost nothing, and whoever was connected
goes on at any other (docs/decisions/0023).
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from agents.full_collections import rare_full_collections
from agents.metrics_chat import GatewayMetrics
from chat.acceptance import ACCEPT_SECONDS
from chat.door import Door
from chat.echoes import Echoes
from chat.ending_tasks import end
from chat.event_producer import EventProducer
from chat.expert_absence import ExpertAbsence
from chat.feed import ChatFeed
from chat.history import History
from chat.live_frames import LiveFrames
from chat.live_queue import LiveQueue
from chat.pages import add_headers, page_routes
from chat.rooms import Rooms
from chat.services import Services
from chat.tokens import check_secret
from config.chat_rules import load_chat_rules
from config.settings import ChatSettings, Settings
from schemas.errors import InvalidSetting
from streams.chat_rules import ChatRules

log = structlog.get_logger(__name__)

MOST_CONNECTIONS = 20_000
_OTHER_FILES = 200
"""Open files besides connections: Kafka, Redis, logs, and requests that are not let in."""
_FEWEST = 100
_BACKLOG = 1024
_IDLE_SECONDS = 15.0
"""How long a request may take to come, and a connection may idle before it is a WebSocket."""


class Gateway(NamedTuple):
    """One that listens. Its ``tasks`` go on until one fails, or they are cancelled."""

    host: str
    port: int
    door: Door
    tasks: list[asyncio.Task[None]]


async def run_gateway(
    settings: Settings,
    stop: asyncio.Event,
    say: Callable[[str, int], None],
    metrics: GatewayMetrics | None = None,
) -> dict[str, int]:
    """Serves until ``stop``; ``say`` is told host and port once it listens.

    Raises:
        InvalidSetting: without LEARNER_CHAT__TOKEN_SECRET, or with too few open files, or if the
            address cannot be listened on.
        BrokerUnavailable: Kafka or a topic is not there at the start.
    """
    async with rare_full_collections(), serving(settings, metrics) as gateway:
        say(gateway.host, gateway.port)
        await _either(stop.wait(), gateway.tasks)
    return {"connections": gateway.door.let_in}


@asynccontextmanager
async def serving(
    settings: Settings, metrics: GatewayMetrics | None = None
) -> AsyncIterator[Gateway]:
    """A gateway while the block runs; see `run_gateway`."""
    secret, most = _secret(settings), _most_connections()
    metrics = metrics or GatewayMetrics()
    queue = LiveQueue(settings.redis, settings.chat)
    events = EventProducer(settings.kafka, ACCEPT_SECONDS)
    live = LiveFrames(queue)
    rooms = Rooms(live.follow, live.leave, metrics)
    feed = ChatFeed(settings, queue, rooms.show)
    history = History(queue, rooms, feed.has_all, settings.chat.session_entries)
    echoes, absence = Echoes(metrics), ExpertAbsence(queue, events)
    rules = ChatRules(load_chat_rules(settings.chat.rules_file))
    door = Door(
        Services(settings.chat, rules, metrics, queue, events, rooms, history, echoes),
        absence,
        secret,
        most,
    )
    tasks: list[asyncio.Task[None]] = []
    runner = _runner(door, metrics)
    try:
        await events.start()
        runs = (
            feed.run(asyncio.Event()),
            history.run(),
            live.run(rooms.pass_on),
            echoes.run(),
            absence.run(),
        )
        tasks += [asyncio.create_task(run) for run in runs]
        await _either(feed.reading.wait(), tasks)
        host, port = await _listen(runner, settings.chat)
        yield Gateway(host, port, door, tasks)
    finally:
        await door.close()
        await runner.cleanup()
        await events.stop()
        await end(tasks)
        await queue.close()


async def _either(first: Coroutine[Any, Any, Any], tasks: list[asyncio.Task[None]]) -> None:
    """Until ``first`` is done; raises what ended one of the ``tasks`` before."""
    waiting = asyncio.create_task(first)
    try:
        await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        waiting.cancel()


def _runner(door: Door, metrics: GatewayMetrics) -> web.AppRunner:
    app = web.Application(middlewares=[_tell_failures], client_max_size=1024)
    app.on_response_prepare.append(add_headers)
    app.add_routes(page_routes(metrics, lambda: not door.closing))
    app.router.add_get("/ws", door.learner, allow_head=False)
    app.router.add_get("/ws/expert", door.expert, allow_head=False)
    # What it would tell of a request that is none holds that request's headers.
    quiet = logging.getLogger("learner.chat.http")
    quiet.setLevel(logging.CRITICAL)
    # It warns of subprotocols that are not ours: a token may be among them.
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)
    return web.AppRunner(
        app,
        access_log=None,
        logger=quiet,
        keepalive_timeout=_IDLE_SECONDS,
        max_line_size=1024,
        max_field_size=4096,
        max_headers=64,
        shutdown_timeout=1.0,
    )


@web.middleware
async def _tell_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (web.HTTPException, ConnectionError):
        raise
    except Exception:
        log.exception("a request failed", path=request.path[:20])
        raise


async def _listen(runner: web.AppRunner, chat: ChatSettings) -> tuple[str, int]:
    await runner.setup()
    try:
        await web.TCPSite(runner, chat.host, chat.port, backlog=_BACKLOG).start()
    except OSError as error:
        raise InvalidSetting(
            f"LEARNER_CHAT__HOST, LEARNER_CHAT__PORT: cannot listen on {chat.host}:{chat.port} "
            f"({error.strerror})"
        ) from None
    host, port = runner.addresses[0][:2]
    return host, port


def _secret(settings: Settings) -> str:
    given = settings.chat.token_secret
    secret = given.get_secret_value() if given else ""
    check_secret(secret)
    return secret


def _most_connections() -> int:
    """As many as this process may have open files, and raises that as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + _OTHER_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    most = soft - _OTHER_FILES
    if most < _FEWEST:
        raise InvalidSetting(
            f"only {soft} files may be open, which leaves no room for connections: raise the limit "
            f"(ulimit -n {wanted}, LimitNOFILE={wanted}, or ulimits: nofile in compose)"
        )
    if soft < wanted:
        log.warning("few files may be open: raise ulimit -n", files=soft, connections=most)
    return min(most, MOST_CONNECTIONS)
