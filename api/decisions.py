"""``GET /v1/learners/{user_id}/decisions`` and ``…/{tree_id}``: now, or as soon as it changes."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

from aiohttp import web

from api.admission import KEY, good_key
from api.latest import Latest
from api.problems import Problem, later
from api.service import SERVICE
from schemas.contract import encode
from schemas.errors import StoreUnavailable
from schemas.fields import TREE_IDS, TreeId

_USER_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,4}(\.[0-9]{1,3})?", re.ASCII)


async def decisions(request: web.Request) -> web.StreamResponse:
    """By every tree."""
    return await _answer(request, TREE_IDS)


async def decision(request: web.Request) -> web.StreamResponse:
    """By one tree: the delivery alone."""
    tree_id = request.match_info["tree_id"]
    if tree_id not in TREE_IDS:
        raise Problem(404, "no-such-tree", f"there is no such tree, only {' and '.join(TREE_IDS)}")
    return await _answer(request, (tree_id,))


def asked_user(request: web.Request) -> str:
    """Raises: Problem, 400."""
    user_id = request.match_info["user_id"].lower()
    if not _USER_ID.fullmatch(user_id):
        raise Problem(400, "user-id", "a user_id is a UUID, in its form with hyphens")
    return user_id


def unavailable() -> Problem:
    return later(503, "stores-unavailable", "the decisions cannot be read now", 1)


async def _answer(request: web.Request, trees: tuple[TreeId, ...]) -> web.StreamResponse:
    service = request.app[SERVICE]
    user_id, wait = asked_user(request), _asked_wait(request)
    latest = None
    try:
        latest = await service.latest(user_id, trees)
    except StoreUnavailable:
        if not wait:
            raise unavailable() from None
    if wait and (latest is None or not _is_news(request, latest)):
        with service.seats.seat(request[KEY].key_id):
            latest = await _next(request, user_id, trees, wait)
        await good_key(request)  # it may have ended meanwhile
    if latest is None:
        raise unavailable()
    if not latest.deliveries:
        said = "there is no decision about this learner" + (
            "" if len(trees) > 1 else f" by {trees[0]}"
        )
        raise Problem(404, "no-decision", said)
    body = encode(latest.document(user_id) if len(trees) > 1 else latest.deliveries[0])
    etag = latest.etag(body)
    headers = {"ETag": f'"{etag}"', "Cache-Control": "private, no-cache"}
    if any(each.value in ("*", etag) for each in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type="application/json", headers=headers)


async def _next(
    request: web.Request, user_id: str, trees: tuple[TreeId, ...], wait: float
) -> Latest | None:
    """What is new within ``wait`` seconds, or what there is at their end."""
    service = request.app[SERVICE]
    clock = asyncio.get_running_loop().time
    ends_at = clock() + wait
    async with service.watch.of(user_id) as woken:
        while True:
            woken.clear()
            latest = None
            with suppress(StoreUnavailable):
                latest = await service.latest(user_id, trees)
            left = ends_at - clock()
            if left <= 0 or service.stopping or (latest is not None and _is_news(request, latest)):
                return latest
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await woken.wait()


def _is_news(request: web.Request, latest: Latest) -> bool:
    """Whether there is a delivery that the caller does not know of."""
    known = request.if_none_match or ()
    return bool(latest.deliveries) and not any(
        etag.value == "*" or latest.is_known_by(etag.value) for etag in known
    )


def _asked_wait(request: web.Request) -> float:
    """Seconds, 0 for an answer at once."""
    longest = request.app[SERVICE].settings.api.longest_wait_seconds
    given = request.query.getall("wait", ["0"])
    if set(request.query) - {"wait"}:
        raise Problem(400, "query", "the only parameter is wait")
    if len(given) > 1 or not _SECONDS.fullmatch(given[0]) or float(given[0]) > longest:
        raise Problem(400, "wait", f"wait is a number of seconds, at most {longest:g}")
    return float(given[0])
