"""``GET /v1/learners/{user_id}/decisions/events``: each new decision, as server-sent events.

An event is a delivery. Its id says which delivery of each tree the caller has by then; sent back as
``Last-Event-ID`` it leads to what is new since. Only the latest is told: who was away for two
changes hears of the second.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

from aiohttp import web

from api.admission import KEY, good_key
from api.decisions import asked_user, unavailable
from api.latest import NOTHING, Latest
from api.problems import Problem
from api.service import SERVICE
from schemas.contract import encode
from schemas.errors import StoreUnavailable
from schemas.fields import TREE_IDS

_TYPE = "text/event-stream"
_PART = rf"([0-9a-f]+|{NOTHING})"
_ID = re.compile(rf"{_PART}(\.{_PART}){{{len(TREE_IDS) - 1}}}", re.ASCII)
_RETRY_MS = 2_000


async def events(request: web.Request) -> web.StreamResponse:
    """Until the caller leaves, the key ends, or an hour is over: then ask again."""
    service = request.app[SERVICE]
    user_id = asked_user(request)
    if request.query:
        raise Problem(400, "query", "there are no parameters")
    if not _takes_events(request.headers.get("Accept", "*/*")):
        raise Problem(406, "not-acceptable", f"this is {_TYPE}")
    with service.seats.seat(request[KEY].key_id):
        async with service.watch.of(user_id) as woken:
            woken.clear()
            try:
                latest = await service.latest(user_id, TREE_IDS)
            except StoreUnavailable:
                raise unavailable() from None
            response = web.StreamResponse(
                headers={
                    "Content-Type": _TYPE,
                    "Cache-Control": "no-store",
                    "X-Accel-Buffering": "no",
                }
            )
            await response.prepare(request)
            stream = _Stream(response, request, service.limits.write_seconds)
            await stream.write(f"retry: {_RETRY_MS}\n\n".encode())
            await _tell(request, stream, user_id, latest, woken)
    return response


async def _tell(
    request: web.Request, stream: _Stream, user_id: str, latest: Latest, woken: asyncio.Event
) -> None:
    service, limits = request.app[SERVICE], request.app[SERVICE].limits
    clock = asyncio.get_running_loop().time
    ends_at, heartbeat_at = clock() + limits.stream_seconds, clock() + limits.heartbeat_seconds
    look_again = min(limits.heartbeat_seconds, max(1.0, service.settings.api.key_seconds))
    known = _last_known(request)
    while not service.stopping and clock() < ends_at:
        fresh, known = _told(latest, known)
        if fresh:
            await stream.write(fresh)
            heartbeat_at = clock() + limits.heartbeat_seconds
        elif clock() >= heartbeat_at:
            await stream.write(b": still here\n\n")
            heartbeat_at = clock() + limits.heartbeat_seconds
        with suppress(TimeoutError):
            async with asyncio.timeout(look_again):
                await woken.wait()
        woken.clear()
        try:
            await good_key(request)
        except Problem:
            return
        with suppress(StoreUnavailable):
            latest = await service.latest(user_id, TREE_IDS)


def _told(latest: Latest, known: tuple[str, ...]) -> tuple[bytes, tuple[str, ...]]:
    """What is not known yet, an event for each tree; and what is known by then."""
    parts = []
    told = list(known)
    for place, (id_, delivery) in enumerate(zip(latest.ids, latest.found.values(), strict=True)):
        if delivery is not None and id_ != told[place]:
            told[place] = id_
            parts += [b"id: ", ".".join(told).encode(), b"\nevent: decision\ndata: "]
            parts += [encode(delivery), b"\n\n"]
    return b"".join(parts), tuple(told)


def _last_known(request: web.Request) -> tuple[str, ...]:
    given = request.headers.get("Last-Event-ID", "")
    return tuple(given.split(".")) if _ID.fullmatch(given) else (NOTHING,) * len(TREE_IDS)


def _takes_events(accept: str) -> bool:
    ranges = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    return any(each in (_TYPE, "text/*", "*/*") for each in ranges)


class _Stream:
    """A reader who does not read is let go."""

    def __init__(self, response: web.StreamResponse, request: web.Request, seconds: float) -> None:
        self._response, self._request, self._seconds = response, request, seconds

    async def write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._response.write(data)
        except TimeoutError:
            if self._request.transport is not None:
                self._request.transport.abort()
            raise ConnectionResetError("the reader of a stream does not read") from None
