"""``POST /v1/chat/tokens``: lets a learner, or an expert, into the chat."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from aiohttp import hdrs, web
from pydantic import ValidationError

from api.admission import KEY, demand
from api.problems import Problem
from api.service import SERVICE
from chat.tokens import sign_token
from schemas.contract import encode
from schemas.http import ChatTokenAnswer, ChatTokenRequest, token_request_adapter
from sinks.service_keys import CHAT_EXPERTS


async def make_chat_token(request: web.Request) -> web.StreamResponse:
    service = request.app[SERVICE]
    secret = service.settings.chat.token_secret
    if secret is None:
        said = "this server makes no chat tokens: LEARNER_CHAT__TOKEN_SECRET is not set"
        raise Problem(501, "chat-not-set-up", said)
    asked = _parsed(await _body(request))
    if asked.role == "expert":
        demand(request[KEY], CHAT_EXPERTS)
    now = datetime.now(UTC).replace(microsecond=0)
    token = sign_token(
        secret.get_secret_value(),
        asked.user_id,
        asked.role,
        now,
        asked.seconds,
        asked.name,
        asked.course_id,
    )
    answer = ChatTokenAnswer(token, now + timedelta(seconds=asked.seconds))
    headers = {"Cache-Control": "no-store"}
    return web.Response(body=encode(answer), content_type="application/json", headers=headers)


async def _body(request: web.Request) -> bytes:
    limits = request.app[SERVICE].limits
    if request.content_type != "application/json":
        raise Problem(415, "content-type", "send application/json")
    if hdrs.CONTENT_ENCODING in request.headers:
        raise Problem(415, "content-encoding", "send the body as it is, without Content-Encoding")
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await request.read()
    except TimeoutError:
        raise Problem(408, "too-slow", "the body did not come in time") from None
    except web.RequestPayloadError:
        raise Problem(400, "body", "the body is not what the headers say") from None


def _parsed(body: bytes) -> ChatTokenRequest:
    try:
        return token_request_adapter.validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "body"
        status, word = (400, "not-json") if first["type"] == "json_invalid" else (422, "body")
        raise Problem(status, word, f"{place}: {first['msg']}") from None
