"""What nobody should send, and somebody will: refused, told why, and nobody else notices."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import jwt
import pytest
from example_chat.intruder import refused_with, status_of, still_works
from example_chat.raw_socket import RawSocket
from example_chat.stack import gateway_at
from example_chat.talk import SECONDS, SECRET, new_user, talking, token_of

from chat.tokens import sign_token


def claims(**changes: Any) -> dict[str, Any]:
    now = int(datetime.now(UTC).timestamp())
    return {
        "sub": new_user(), "role": "learner", "iat": now, "exp": now + 600, "aud": "learner-chat",
        **changes,
    }  # fmt: skip


def unsigned(algorithm: str) -> str:
    parts = ({"alg": algorithm, "typ": "JWT"}, claims())
    coded = (base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in parts)
    return b".".join(coded).decode() + "."


# Tokens


async def test_a_token_signed_by_somebody_else(gateway: str) -> None:
    forged = jwt.encode(claims(), "another secret of more than 32 characters", "HS256")
    assert await refused_with(gateway, forged) == 4401


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256"])
async def test_a_token_without_a_signature(gateway: str, algorithm: str) -> None:
    assert await refused_with(gateway, unsigned(algorithm)) == 4401


async def test_a_token_with_another_algorithm(gateway: str) -> None:
    assert await refused_with(gateway, jwt.encode(claims(), SECRET * 2, "HS512")) == 4401
    assert await refused_with(gateway, jwt.encode(claims(), SECRET, "HS512")) == 4401


async def test_a_token_that_has_expired(gateway: str) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    expired = sign_token(SECRET, new_user(), "learner", long_ago, 60)
    assert await refused_with(gateway, expired) == 4401


async def test_a_token_for_something_else(gateway: str) -> None:
    assert await refused_with(gateway, jwt.encode(claims(aud="api"), SECRET, "HS256")) == 4401


async def test_a_token_for_ever(gateway: str) -> None:
    for_ever = claims(exp=int(datetime.now(UTC).timestamp()) + 10**8)
    assert await refused_with(gateway, jwt.encode(for_ever, SECRET, "HS256")) == 4401


async def test_a_learners_token_at_the_experts_door(gateway: str) -> None:
    assert await refused_with(gateway, token_of(new_user()), path="/ws/expert") == 4403


async def test_an_experts_token_at_the_learners_door(gateway: str) -> None:
    assert await refused_with(gateway, token_of(new_user(), "expert", name="Ada")) == 4403


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer"}, {"Authorization": "Bearer "}, {"Authorization": "Basic abc"},
        {"Authorization": "Bearer a b"}, {"Authorization": "\u00e9\u00e9"},
        {"Authorization": "Bearer " + "x" * 3000},
    ],
)  # fmt: skip
async def test_an_authorization_that_is_none(gateway: str, headers: dict[str, str]) -> None:
    assert await refused_with(gateway, "", headers=headers) == 4401


async def test_a_token_in_the_address_is_not_taken(gateway: str) -> None:
    token = token_of(new_user())
    options: dict[str, Any] = {"headers": {"Origin": gateway}, "protocols": ("learner-chat",)}
    assert await refused_with(gateway, "", path=f"/ws?token={token}", **options) == 4401
    assert await refused_with(gateway, token, path=f"/ws?token={token}") == 4400


async def test_two_tokens_at_once(gateway: str) -> None:
    protocols = ("learner-chat", token_of(new_user()))
    assert await refused_with(gateway, token_of(new_user()), protocols=protocols) == 4401
    three = (*protocols, token_of(new_user()))
    headers = {"Origin": gateway}
    assert await refused_with(gateway, "", protocols=three, headers=headers) == 4401


async def test_a_token_as_the_only_subprotocol_is_neither_taken_nor_logged(
    gateway: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    token = token_of(new_user())
    headers = {"Origin": gateway}
    assert await status_of(gateway, "", protocols=(token,), headers=headers) == 400
    raw = await RawSocket.connect(gateway)
    two_lines = f"{token}\r\nSec-WebSocket-Protocol: learner-chat"
    asked = await raw.upgrade("/ws", Origin=gateway, Sec_WebSocket_Protocol=two_lines)
    assert "400" in asked
    await raw.close()
    assert await refused_with(gateway, token + "x") == 4401
    said = caplog.text + "".join(capfd.readouterr())
    assert token not in said


async def test_a_token_opens_only_its_own_learners_sessions(gateway: str) -> None:
    victim = new_user()
    async with talking(gateway, token_of(victim), session="secret") as talk:
        await talk.say("my secret")
        await talk.until(lambda: talk.texts)
    async with talking(gateway, token_of(new_user()), session="secret") as thief:
        await thief.say("mine")
        await thief.until(lambda: thief.texts)
        await thief.send({"type": "say", "id": "a", "text": "as you", "user_id": victim})
        await thief.next("refused", code="invalid_frame")
        assert thief.texts == ["mine"]
    for path in (f"/ws?session={victim}/secret", f"/ws?user_id={victim}"):
        assert await refused_with(gateway, token_of(new_user()), path=path) == 4400


# Where they come from


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example", "null", "", "http://127.0.0.1", "file://", "http://127.0.0.1:1@evil.example",
        "https://127.0.0.1:1.evil.example", "javascript://127.0.0.1",
    ],
)  # fmt: skip
async def test_a_page_from_elsewhere(gateway: str, origin: str) -> None:
    protocols = ("learner-chat", token_of(new_user()))
    headers = {"Origin": origin}
    assert await status_of(gateway, "", protocols=protocols, headers=headers) == 403


async def test_our_own_host_with_something_around_it(gateway: str) -> None:
    host = urlsplit(gateway).netloc
    for origin in (f"http://{host}/", f"http://{host}.evil.example", f"http://evil@{host}",
                   f"ftp://{host}", f"http://{host}, http://{host}"):  # fmt: skip
        headers = {"Origin": origin, "Authorization": f"Bearer {token_of(new_user())}"}
        assert await status_of(gateway, "", headers=headers) == 403


async def test_no_origin_and_no_header(gateway: str) -> None:
    protocols = ("learner-chat", token_of(new_user()))
    assert await status_of(gateway, "", protocols=protocols, headers={}) == 403


async def test_an_allowed_page_from_elsewhere(chat_with: Any) -> None:
    async with gateway_at(chat_with(allowed_origins=("https://lms.example",))) as url:
        protocols = ("learner-chat", token_of(new_user()))
        headers = {"Origin": "https://lms.example"}
        async with talking(url, "", protocols=protocols, headers=headers) as talk:
            await talk.next("welcome")
        headers = {"Origin": "https://lms.example.evil.example"}
        assert await status_of(url, "", protocols=protocols, headers=headers) == 403


# What they ask for


@pytest.mark.parametrize(
    "query",
    [
        "session=", "session=a/b", "session=../../x", "session=a%00b", "session=%F0%9F%98%80",
        "session=a%0d%0aX:1", f"session={'a' * 65}", "session=a&session=b", "session[]=a",
        "after=-2", "after=1e3", "after=abc", "after=", f"after={'9' * 19}", "after=1&after=2",
        "after=0x10", "after=%D9%A1", "x=1", "session=a*", "session=chat:live:x",
    ],
)  # fmt: skip
async def test_a_query_with_odd_things(gateway: str, query: str) -> None:
    assert await refused_with(gateway, token_of(new_user()), path=f"/ws?{query}") == 4400


async def test_the_longest_good_names(gateway: str) -> None:
    async with talking(gateway, token_of(new_user()), session="a" * 64, after=10**17) as talk:
        await talk.next("notice", code="older_messages_elsewhere")


async def test_an_experts_after_beyond_every_number(gateway: str) -> None:
    token = token_of(new_user(), "expert", name="Ada")
    async with (
        talking(gateway, token_of(new_user()), session="s") as learner,
        talking(gateway, token, path="/ws/expert") as ada,
    ):
        await learner.say("hello")
        user = (await learner.next("message"))["user_id"]
        session = {"user_id": user, "session_id": "s"}
        await ada.send({"type": "watch", "after": 10**30, **session})
        await ada.send({"type": "ping"})
        await ada.next("pong")
    await still_works(gateway)


async def test_paths_that_lead_elsewhere(gateway: str) -> None:
    async with aiohttp.ClientSession() as client:
        for path in (
            "/../etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/chat.js/../x",
            "/.env",
            "/ws/x",
        ):
            answer = await client.get(f"{gateway}{path}", allow_redirects=False)
            assert answer.status == 404
        assert (await client.post(f"{gateway}/ws")).status == 405
        assert (await client.post(f"{gateway}/", data=b"x" * 10_000)).status == 405


async def test_headers_without_end(gateway: str) -> None:
    async with aiohttp.ClientSession(max_field_size=1_000_000) as client:
        assert (await client.get(gateway, headers={"X": "x" * 100_000})).status == 400
        assert (await client.get(f"{gateway}/?{'x' * 100_000}")).status == 400
        many = {f"X-{number}": "x" for number in range(1000)}
        assert (await client.get(gateway, headers=many)).status == 400
    await still_works(gateway)


async def test_a_websockets_key_that_is_none(gateway: str) -> None:
    for key in ("\u00e9\u00e9", "abc", ""):
        raw = await RawSocket.connect(gateway)
        assert "426" in await raw.upgrade("/ws", Sec_WebSocket_Key=key)
        await raw.close()


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 1000, b"GET /\r\n" * 100,
     b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n"],
)  # fmt: skip
async def test_what_is_no_http(gateway: str, garbage: bytes) -> None:
    raw = await RawSocket.connect(gateway)
    raw.writer.write(garbage)
    async with asyncio.timeout(SECONDS):
        await raw.reader.readline()
    await raw.close()
    await still_works(gateway)
