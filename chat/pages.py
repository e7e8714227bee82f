"""What the gateway answers over plain HTTP: the page, whether it is well, and its metrics."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from agents.metrics_chat import GatewayMetrics

_PAGE = {
    "/": ("index.html", "text/html"),
    "/chat.css": ("chat.css", "text/css"),
    "/chat.js": ("chat.js", "text/javascript"),
    "/view.js": ("view.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/favicon.ico": ("icon.svg", "image/svg+xml"),
}
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",
    "Server": "learner",
}


def page_routes(
    metrics: GatewayMetrics, is_ready: Callable[[], bool]
) -> list[web.AbstractRouteDef]:
    """``is_ready``: whether messages can be taken now."""

    async def healthz(request: web.Request) -> web.StreamResponse:
        return _json(200, {"status": "ok"})

    async def readyz(request: web.Request) -> web.StreamResponse:
        ready = is_ready()
        return _json(200 if ready else 503, {"status": "ok" if ready else "not ready"})

    async def metrics_text(request: web.Request) -> web.StreamResponse:
        body, kind = metrics.text()
        return web.Response(body=body, headers={"Content-Type": kind})

    return [
        *(web.get(path, _file(name, kind)) for path, (name, kind) in _PAGE.items()),
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
        web.get("/metrics", metrics_text),
    ]


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """For the signal ``on_response_prepare``; a WebSocket has no use for them."""
    if response.status != 101:
        for name, value in SECURITY_HEADERS.items():
            response.headers[name] = value


def _file(name: str, kind: str) -> Handler:
    body = (files("chat") / "page" / name).read_bytes()

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=kind, charset="utf-8")

    return answer


def _json(status: int, value: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")
