"""``/healthz``: the process answers. ``/readyz``: it can do its work. ``/metrics``: how much."""

from __future__ import annotations

from aiohttp import web

from api.problems import later
from api.service import SERVICE
from schemas.contract import encode


async def healthz(request: web.Request) -> web.StreamResponse:
    return _json({"status": "ok"})


async def readyz(request: web.Request) -> web.StreamResponse:
    """Ready while keys can be checked and decisions read, if not as quickly as they should.

    With PostgreSQL alone, or with Redis alone as long as some key is remembered.
    """
    service = request.app[SERVICE]
    redis, postgres = await service.health()
    if not (postgres or (redis and service.keys.any_trusted)):
        raise later(503, "not-ready", "the stores do not answer", 1)
    return _json({"status": "ok" if redis and postgres else "degraded"})


async def metrics(request: web.Request) -> web.StreamResponse:
    body, kind = request.app[SERVICE].metrics.text()
    return web.Response(body=body, headers={"Content-Type": kind})


def _json(value: object) -> web.Response:
    return web.Response(body=encode(value), content_type="application/json")
