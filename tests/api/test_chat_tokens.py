"""``POST /v1/chat/tokens``: a token that the chat gateway takes, for who may have one made."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from api_suite.served import SECRET, USER, Caller, Stores, served
from chat.tokens import verify_token
from config.settings import ChatSettings
from schemas.errors import InvalidSetting

TOKENS = "/v1/chat/tokens"


async def test_a_token_is_made(kept: Stores, caller: Caller) -> None:
    holder = caller.as_who_has(await kept.key("chat:tokens"))
    asked = {"user_id": USER.upper(), "name": "Ada", "course_id": "algebra", "seconds": 60}
    answer = await holder.ask("POST", TOKENS, json=asked)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    token = verify_token(SECRET, answer.json["token"], datetime.now(UTC))
    assert (token.user_id, token.role, token.name, token.course_id) == (
        USER, "learner", "Ada", "algebra",
    )  # fmt: skip
    assert token.expires_at - token.issued_at == timedelta(seconds=60)
    assert answer.json["expires_at"] == f"{token.expires_at:%Y-%m-%dT%H:%M:%SZ}"
    default = (await holder.ask("POST", TOKENS, json={"user_id": USER})).json
    token = verify_token(SECRET, default["token"], datetime.now(UTC))
    assert (token.role, token.name, token.course_id) == ("learner", None, None)
    assert token.expires_at - token.issued_at == timedelta(hours=1)


async def test_an_expert_s_takes_a_scope_of_its_own(kept: Stores, caller: Caller) -> None:
    asked = {"user_id": USER, "role": "expert"}
    holder = caller.as_who_has(await kept.key("chat:tokens"))
    answer = await holder.ask("POST", TOKENS, json=asked)
    assert (answer.status, answer.word) == (403, "scope-missing")
    for scopes, status in ((("chat:tokens", "chat:experts"), 200), (("chat:experts",), 403)):
        holder = caller.as_who_has(await kept.key(*scopes))
        answer = await holder.ask("POST", TOKENS, json=asked)
        assert answer.status == status
        if status == 200:
            token = verify_token(SECRET, answer.json["token"], datetime.now(UTC))
            assert token.role == "expert"


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ({}, "user_id"),
        ({"user_id": "x"}, "user_id"),
        ({"user_id": None}, "user_id"),
        ({"user_id": USER, "role": "admin"}, "role"),
        ({"user_id": USER, "seconds": 0}, "seconds"),
        ({"user_id": USER, "seconds": 86_401}, "seconds"),
        ({"user_id": USER, "seconds": "60"}, "seconds"),
        ({"user_id": USER, "seconds": 1.5}, "seconds"),
        ({"user_id": USER, "name": "a\nb"}, "name"),
        ({"user_id": USER, "name": ""}, "name"),
        ({"user_id": USER, "course_id": "a" * 256}, "course_id"),
        ({"user_id": USER, "aud": "x"}, "aud"),
        ([], "body"),
        ("x", "body"),
    ],
)
async def test_what_makes_no_token_is_422(
    kept: Stores, caller: Caller, asked: Any, place: str
) -> None:
    holder = caller.as_who_has(await kept.key("chat:tokens"))
    answer = await holder.ask("POST", TOKENS, json=asked)
    assert (answer.status, answer.word) == (422, "body")
    assert answer.json["detail"].startswith(f"{place}: ")


async def test_what_is_no_json_is_said(kept: Stores, caller: Caller) -> None:
    holder = caller.as_who_has(await kept.key("chat:tokens"))
    kind = {"Content-Type": "application/json; charset=utf-8"}
    for body in (b"", b"{", b"\xff", b"nan"):
        answer = await holder.ask("POST", TOKENS, headers=kind, data=body)
        assert (answer.status, answer.word) == (400, "not-json")
    answer = await holder.ask("POST", TOKENS, data={"user_id": USER})
    assert (answer.status, answer.word) == (415, "content-type")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity"])
async def test_a_body_that_is_coded_is_not_taken(
    kept: Stores, caller: Caller, caplog: pytest.LogCaptureFixture, coding: str
) -> None:
    holder = caller.as_who_has(await kept.key("chat:tokens"))
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    for body in (b"not that at all", gzip.compress(b'{"user_id": ""}')):
        answer = await holder.ask("POST", TOKENS, headers=headers, data=body)
        assert (answer.status, answer.word) == (415, "content-encoding")
    assert "Traceback" not in caplog.text


async def test_a_key_for_decisions_makes_no_tokens(caller: Caller) -> None:
    answer = await caller.ask("POST", TOKENS, json={"user_id": USER})
    assert (answer.status, answer.word) == (403, "scope-missing")


async def test_without_a_secret_it_is_not_set_up(kept: Stores) -> None:
    settings = kept.settings.model_copy(update={"chat": ChatSettings()})
    async with served(settings, await kept.key("chat:tokens")) as caller:
        answer = await caller.ask("POST", TOKENS, json={"user_id": USER})
        assert (answer.status, answer.word) == (501, "chat-not-set-up")


async def test_with_a_short_secret_the_service_does_not_start(kept: Stores) -> None:
    chat = ChatSettings(token_secret=SecretStr("x" * 31))
    with pytest.raises(InvalidSetting, match="LEARNER_CHAT__TOKEN_SECRET"):
        async with served(kept.settings.model_copy(update={"chat": chat})):
            pass
