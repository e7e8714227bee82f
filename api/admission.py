"""Who is let in: a key that is good, with the scope of what it asks, and not too often."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from ipaddress import ip_address

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from api.keys import KeyRefused
from api.problems import Problem, later
from api.service import SERVICE, Service
from schemas.errors import StoreUnavailable
from sinks.service_keys import CHAT_TOKENS, DECISIONS_READ, METRICS_READ, ServiceKey, split_key

_METRICS = "/metrics"
_OPEN = ("/healthz", "/readyz")
"""Answered without a key; they tell nothing of any learner."""

_SCOPES = {
    "/v1/learners/{user_id}/decisions": DECISIONS_READ,
    "/v1/learners/{user_id}/decisions/events": DECISIONS_READ,
    "/v1/learners/{user_id}/decisions/{tree_id}": DECISIONS_READ,
    "/v1/chat/tokens": CHAT_TOKENS,
    _METRICS: METRICS_READ,
}

_FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")

_NOT_LOOKED_UP = ("missing", "malformed")
"""Refusals that cost no look-up: not counted, as behind a proxy all come from one address."""

KEY = web.RequestKey("key", ServiceKey)


def route_of(request: web.Request) -> str:
    """The template of the path, without any id; "" if there is no such path."""
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raises: Problem, before anything else is looked at."""
    route = route_of(request)
    if not (route in _OPEN or (route == _METRICS and _is_from_here(request))):
        service = request.app[SERVICE]
        request[KEY] = key = await good_key(request)
        now = asyncio.get_running_loop().time()
        if seconds := service.requests.take(key.key_id, now):
            rate = service.limits.requests_per_second
            raise later(429, "too-many-requests", f"a key may ask {rate:g} times a second", seconds)
        if (scope := _SCOPES.get(route)) is not None:
            demand(key, scope)
    return await handler(request)


async def good_key(request: web.Request) -> ServiceKey:
    """The key of the request as it is now: ask again after a wait.

    Raises:
        Problem: 401, it opens nothing; 429, too many such came from there; 503, no telling now.
    """
    service = request.app[SERVICE]
    try:
        key_id, secret = _presented(request)
        _slow_down(service, request, key_id)
        return await service.keys.check(key_id, secret)
    except KeyRefused as refused:
        service.metrics.key_refused(refused.reason)
        if refused.reason not in _NOT_LOOKED_UP:
            service.refusals.take(request.remote or "", asyncio.get_running_loop().time())
        error = "" if refused.reason == "missing" else ', error="invalid_token"'
        challenge = f'Bearer realm="learner"{error}'
        raise Problem(
            401, f"key-{refused.reason}", str(refused), {hdrs.WWW_AUTHENTICATE: challenge}
        ) from None
    except StoreUnavailable:
        said = "keys cannot be looked up now"
        raise later(503, "keys-unavailable", said, 1) from None


def demand(key: ServiceKey, scope: str) -> None:
    """Raises: Problem, 403, if the key is not good for that."""
    if scope not in key.scopes:
        challenge = f'Bearer realm="learner", error="insufficient_scope", scope="{scope}"'
        raise Problem(
            403,
            "scope-missing",
            f"this key is not good for that: it needs {scope}",
            {hdrs.WWW_AUTHENTICATE: challenge},
        )


def _is_from_here(request: web.Request) -> bool:
    """Whether it comes from this machine, and not through a proxy that runs here."""
    with suppress(ValueError):
        near = ip_address(request.remote or "").is_loopback
        return near and not any(name in request.headers for name in _FORWARDED)
    return False


def _presented(request: web.Request) -> tuple[str, str]:
    headers = request.headers.getall(hdrs.AUTHORIZATION, [])
    if not headers:
        raise KeyRefused("missing", "send a key: Authorization: Bearer lk_…")
    scheme, _, key = headers[0].partition(" ")
    parts = split_key(key.strip())
    if parts is None or scheme.lower() != "bearer" or len(headers) > 1:
        raise KeyRefused("malformed", "that is no key: Authorization: Bearer lk_…")
    return parts


def _slow_down(service: Service, request: web.Request, key_id: str) -> None:
    """Who tries keys may look up few that we do not know; keys that we know are let through."""
    if service.keys.is_known(key_id):
        return
    now = asyncio.get_running_loop().time()
    if seconds := service.refusals.wait(request.remote or "", now):
        raise later(429, "too-many-refusals", "too many keys from there were refused", seconds)
