"""Around every request: bounds before it, an error as a problem, headers, a log line, metrics."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus

import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from api.admission import KEY, route_of
from api.problems import Problem
from api.service import SERVICE, Service

log = structlog.get_logger("learner.api")

_WORDS = {404: "no-such-path", 405: "method", 413: "too-large"}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "learner",
}


@web.middleware
async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The log line tells the route's template, never a path: a path has a learner's id in it."""
    service = request.app[SERVICE]
    clock = asyncio.get_running_loop().time
    began, status = clock(), 499
    try:
        try:
            _within_bounds(request, service)
            response = await handler(request)
        except web.HTTPException as error:
            response = _as_problem(error).response()
        except Problem as problem:
            response = problem.response()
        except ConnectionError:  # of a caller who has left
            raise
        except Exception as error:
            log.exception("a request failed", route=route_of(request), error=type(error).__name__)
            response = Problem(500, "failed", "this went wrong; it was noted").response()
        status = response.status
        return response
    finally:
        seconds = clock() - began
        route = route_of(request)
        service.metrics.request(route, status, seconds)
        key = request.get(KEY)
        log.info(
            "request",
            method=request.method if request.method in hdrs.METH_ALL else "other",
            route=route or "none",
            status=status,
            ms=round(seconds * 1000, 1),
            key_id=key.key_id if key else None,
        )


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """For the signal ``on_response_prepare``."""
    for name, value in _HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")


def _within_bounds(request: web.Request, service: Service) -> None:
    limits = service.limits
    if len(request.raw_path) > limits.target_bytes:
        said = f"a path with its query has at most {limits.target_bytes:,} characters"
        raise Problem(414, "path-too-long", said)
    size = sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
    if size > limits.header_bytes:
        said = f"headers have at most {limits.header_bytes:,} bytes together"
        raise Problem(431, "headers-too-large", said)


def _as_problem(error: web.HTTPException) -> Problem:
    status = HTTPStatus(error.status)
    kept = {str(hdrs.ALLOW): error.headers[hdrs.ALLOW]} if hdrs.ALLOW in error.headers else {}
    return Problem(status, _WORDS.get(status, "refused"), status.description or status.phrase, kept)


class WithoutGarbage(logging.Filter):
    """Keeps out of the log what was no HTTP: its traceback would show headers, keys among them."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError | web.RequestPayloadError)
