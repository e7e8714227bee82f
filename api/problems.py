"""An error as the caller gets it: a problem document (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from schemas.contract import encode
from schemas.errors import LearnerError
from schemas.http import ProblemDocument

CONTENT_TYPE = "application/problem+json"
_TYPE = "urn:learner:problem:"


class Problem(LearnerError):
    """Ends a request. ``word`` is what a program goes by, ``detail`` is for a person.

    Neither holds what a caller without the right key must not learn.
    """

    def __init__(
        self, status: int, word: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.word = word
        self.headers = dict(headers or {})

    def response(self) -> web.Response:
        title = HTTPStatus(self.status).phrase
        document = ProblemDocument(_TYPE + self.word, title, self.status, str(self))
        return web.Response(
            status=self.status,
            body=encode(document),
            content_type=CONTENT_TYPE,
            headers={"Cache-Control": "no-store", **self.headers},
        )


def later(status: int, word: str, detail: str, seconds: float) -> Problem:
    """One that goes away by itself: ``Retry-After`` says when to try again."""
    return Problem(status, word, detail, {"Retry-After": str(max(1, math.ceil(seconds)))})
