"""``GET /openapi.json``: this service, for programs that write clients."""

from __future__ import annotations

from functools import cache

from aiohttp import web

from schemas.contract import encode
from schemas.openapi import openapi_document


async def openapi(request: web.Request) -> web.StreamResponse:
    return web.Response(body=_document(), content_type="application/json")


@cache
def _document() -> bytes:
    return encode(openapi_document())
