"""Decoders of the HTTP service: what stands in a path, a query, a header or a body."""

from __future__ import annotations

from typing import Any, NamedTuple, cast
from unittest.mock import Mock
from urllib.parse import quote_from_bytes

import orjson
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from api.admission import _is_from_here, _presented
from api.chat_tokens import _parsed
from api.decisions import _asked_wait, _is_news, asked_user
from api.event_stream import _last_known, _takes_events
from api.keys import KeyRefused
from api.latest import NOTHING, Latest
from api.problems import Problem
from api.service import SERVICE
from config.settings import Settings
from fuzz.decoder import ContractBroken, Decoder
from schemas.contract import encode
from schemas.delivery import Delivery
from schemas.fields import TREE_IDS
from schemas.http import ChatTokenRequest

_SETTINGS = Settings(_env_file=None)
_DELIVERY = cast(Delivery, Mock(delivery_id="5f0e6c3a-1b7d-4c58-8f5e-2d9a7b1c4e60"))
_LATEST = Latest(dict.fromkeys(TREE_IDS, _DELIVERY), complete=True)


class Request(NamedTuple):
    """What a request for decisions asks for."""

    user_id: str
    wait: float
    key: tuple[str, str]
    known: tuple[str, ...]
    is_news: bool
    is_from_here: bool


def _request(raw: bytes) -> Request:
    """``user_id?query``, then a header a line, as aiohttp's own parser would let them through."""
    target, *lines = raw.split(b"\n")
    path, _, query = target.partition(b"?")
    headers = [
        (name.strip().decode("latin-1"), _header_value(value))
        for name, _, value in (line.partition(b":") for line in lines)
        if name.strip().isalnum() or name.strip().replace(b"-", b"").isalnum()
    ]
    app = web.Application()
    app[SERVICE] = cast(Any, Mock(settings=_SETTINGS))
    asked = make_mocked_request(
        "GET",
        f"/v1/learners/x/decisions?{quote_from_bytes(query, safe='=&;%+')}",
        headers=cast(Any, headers),
        match_info={"user_id": path.decode(errors="replace")},
        app=app,
    )
    try:
        key = _presented(asked)
    except KeyRefused:
        key = ("", "")
    known = _last_known(asked)
    if len(known) != len(TREE_IDS) or not all(known):
        raise ContractBroken(f"Last-Event-ID says {known}")
    _takes_events(asked.headers.get("Accept", "*/*"))
    wait = _asked_wait(asked)
    if not 0 <= wait <= _SETTINGS.api.longest_wait_seconds:
        raise ContractBroken(f"somebody may wait for {wait} s")
    return Request(
        asked_user(asked), wait, key, known, _is_news(asked, _LATEST), _is_from_here(asked)
    )


def _header_value(value: bytes) -> str:
    return value.strip().replace(b"\r", b"").replace(b"\0", b"").decode(errors="replace")


def _problem(raw: bytes) -> ChatTokenRequest:
    try:
        return _parsed(raw)
    except Problem as problem:
        answer = problem.response()
        if len(cast(bytes, answer.body)) > 70_000:
            raise ContractBroken("a refusal is longer than what was refused") from None
        raise


_USER = b"5f0e6c3a-1b7d-4c58-8f5e-2d9a7b1c4e60"
_KEY = b"Authorization: Bearer lk_0123456789abcdef_" + b"A" * 43

DECODERS = (
    Decoder(
        "decisions-request",
        _request,
        Problem,
        (
            _USER + b"?wait=12.5\n" + _KEY + b'\nIf-None-Match: W/"a.b-c", *',
            _USER + b"\nAccept: text/event-stream;q=0.5\nLast-Event-ID: 0a.-\nX-Real-IP: 1",
            _USER + b'\nIf-None-Match: "5f0e6c3a1b7d4c58.--00"\nLast-Event-ID: ' + NOTHING.encode(),
        ),
        longest=2_048,
    ),
    Decoder(
        "chat-token-request",
        _problem,
        Problem,
        (
            orjson.dumps({"user_id": _USER.decode()}),
            orjson.dumps(
                {
                    "user_id": _USER.decode(),
                    "role": "expert",
                    "name": "Ada",
                    "course_id": "algebra-1",
                    "seconds": 60,
                }
            ),
        ),
        encode,
    ),
)
