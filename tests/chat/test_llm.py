"""The language model's responder: whatever the server does, the learner has an answer in time."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from chat.built_in import reply
from chat.llm import Llm
from chat.llm_request import CUT
from chat.responder import BUILT_IN, Draft, Said
from responder_suite.contract_tests import ResponderContract, asks, draft_of, parts_of
from responder_suite.language_model import KEY, LLM, SECONDS, Purse, asking, notices, starts
from schemas.chat_frames import Token
from servers.kafka import free_ports
from servers.llm_stub import (
    DONE,
    Behaviour,
    LlmStub,
    answers,
    breaks_off,
    chunk,
    event,
    llm_stub,
    says,
    sends,
    stalls,
)

HASTY: dict[str, Any] = {
    "first_token_seconds": 0.3,
    "next_token_seconds": 0.2,
    "answer_seconds": 3.0,
}
"""Where the server is not going to answer anyway."""


@pytest.fixture
async def stub() -> AsyncIterator[LlmStub]:
    async with llm_stub() as stub:
        yield stub


@pytest.fixture
async def purse() -> Purse:
    return Purse()


@pytest.fixture
async def llm(stub: LlmStub, purse: Purse) -> AsyncIterator[Llm]:
    async with asking(stub.url, purse) as llm:
        yield llm


@pytest.fixture
async def hasty(stub: LlmStub, purse: Purse) -> AsyncIterator[Llm]:
    async with asking(stub.url, purse, **HASTY) as llm:
        yield llm


class TestAnswering(ResponderContract):
    @pytest.fixture
    def responder(self, llm: Llm, stub: LlmStub) -> Llm:
        stub.plays(says("Because ", "it ", "is."))
        return llm


class TestAway(ResponderContract):
    @pytest.fixture
    async def responder(self, purse: Purse) -> AsyncIterator[Llm]:
        (port,) = free_ports(1)
        async with asking(f"http://127.0.0.1:{port}/v1", purse, tries=1) as llm:
            yield llm


class TestStalled(ResponderContract):
    @pytest.fixture
    async def responder(self, stub: LlmStub, purse: Purse) -> AsyncIterator[Llm]:
        stub.plays(sends(chunk("I "), ends="stall"))
        async with asking(stub.url, purse, tries=1, next_token_seconds=0.1) as llm:
            yield llm


ANSWERED: dict[str, tuple[Behaviour, str]] = {
    "as it should be": (says("Look ", "at ", "it."), "Look at it."),
    "all at once": (
        sends(chunk("Look ") + chunk("at it.") + chunk(finish="stop") + DONE), "Look at it.",
    ),
    "byte by byte": (
        sends(*[bytes([byte]) for byte in chunk("Grüße") + chunk(finish="stop") + DONE]),
        "Grüße",
    ),
    "without [DONE]": (sends(chunk("Look."), chunk(finish="stop")), "Look."),
    "without [DONE], the connection stays open": (
        sends(chunk("Look."), chunk(finish="stop"), ends="stall"), "Look.",
    ),
    "reset after its end": (sends(chunk("Look."), chunk(finish="stop"), ends="reset"), "Look."),
    "without a reason for its end": (sends(chunk("Look."), DONE), "Look."),
    "nothing after [DONE] counts": (sends(chunk("Look."), DONE, chunk("No.")), "Look."),
    "other line ends": (
        sends(b'data:{"choices":[{"delta":{"content":"Look."}}]}\r\n\r\ndata:[DONE]\r\r'), "Look.",
    ),
    "comments and other fields": (
        sends(b": ping\n\nevent: x\nid: 3\n" + chunk("Look."), b"retry: 1\n\n", DONE), "Look.",
    ),
    "rubbish between": (
        sends(
            chunk("Lo"), b"data: {not json\n\n", b"data: \xff\xfe\n\n", event([1, 2]), event("x"),
            event({"choices": "none"}), event({"choices": [7]}), event({"choices": [{"delta": 3}]}),
            event({"choices": [{"delta": {"content": ["x"]}}]}), event({"usage": "many"}),
            event({"choices": [{"delta": {"content": None, "role": "assistant"}}]}),
            b'data: {"choices":[{"delta":{"content":"\\ud800"}}]}\n\n',
            chunk("ok."), chunk(finish="stop"), DONE,
        ),
        "Look.",
    ),
    "cut off by the server": (sends(chunk("Look"), chunk(finish="length"), DONE), f"Look{CUT}"),
    "unseen signs": (says("L\x00oo\u202ek\u200b."), "Look."),
    "slow, but never too slow": (
        sends(0.5, chunk("L"), 0.5, chunk("o"), 0.5, chunk("ok."), 0.5, DONE), "Look.",
    ),
    "an empty piece first": (sends(chunk(""), chunk("Look."), DONE), "Look."),
}  # fmt: skip


@pytest.mark.parametrize(("behaviour", "text"), ANSWERED.values(), ids=ANSWERED)
async def test_the_models_answer(llm: Llm, stub: LlmStub, behaviour: Behaviour, text: str) -> None:
    stub.plays(behaviour)
    turn = asks()
    async with asyncio.timeout(SECONDS):
        parts = await parts_of(llm, turn)
    draft = draft_of(turn, parts)
    assert (draft.text, draft.start.responder) == (text, LLM)
    assert notices(parts) == []
    assert len(stub.asked) == 1


AWAY: dict[str, tuple[Behaviour, int]] = {
    "500": (answers(500, "Internal error"), 3),
    "503, wait a moment": (answers(503, Retry_After="0"), 3),
    "429": (answers(429), 3),
    "429, wait for longer than there is": (answers(429, Retry_After="60"), 1),
    "429, until a date": (answers(429, Retry_After="Fri, 31 Dec 2999 23:59:59 GMT"), 1),
    "429, wait for nonsense": (answers(429, Retry_After="soon"), 3),
    "400": (answers(400, "no such field"), 1),
    "401": (answers(401, f"the key {KEY} is wrong"), 1),
    "404": (answers(404), 1),
    "a redirect": (answers(307, Location="http://127.0.0.1:9/"), 1),
    "a page": (answers(200, "<html>Welcome</html>", Content_Type="text/html"), 3),
    "JSON in one piece": (answers(200, '{"choices": []}', Content_Type="application/json"), 3),
    "nothing": (sends(), 3),
    "nothing but [DONE]": (sends(DONE), 3),
    "nothing but blanks": (says("  \n "), 3),
    "nothing but unseen signs": (says("\u200b\u202e"), 3),
    "filtered": (sends(chunk(finish="content_filter"), DONE), 3),
    "a stall before the status": (stalls(), 3),
    "a stall after the status": (sends(b": hello\n\n", ends="stall"), 3),
    "a stall in mid-answer": (sends(chunk("Look"), ends="stall"), 3),
    "signs of life without end": (sends(b": ping\n\n", 0.01, ends="again"), 3),
    "empty pieces without end": (sends(chunk(""), ends="again"), 3),
    "breaks off before the status": (breaks_off(), 3),
    "breaks off before a word": (sends(b": hello\n\n", 0.05, ends="reset"), 3),
    "breaks off in mid-answer": (sends(chunk("Look"), 0.05, ends="reset"), 3),
    "ends in mid-answer": (sends(chunk("Look")), 3),
    "reports an error in mid-answer": (sends(chunk("Look"), event({"error": {"message": "x"}})), 3),
    "rubbish only": (sends(b"\x00\xff\x13" * 1000, b"\n\n"), 3),
    "a line without end": (sends(b"x" * 10_000, ends="again"), 3),
    "an event without end": (sends(b"data: " + b"x" * 10_000 + b"\n", ends="again"), 3),
    "a compressed body": (
        answers(200, "x", Content_Type="text/event-stream", Content_Encoding="gzip"), 3,
    ),
}  # fmt: skip
"""What a server does, and how often it is asked for one answer then."""


@pytest.mark.parametrize(("behaviour", "tries"), AWAY.values(), ids=AWAY)
async def test_the_built_in_responder_answers(
    hasty: Llm, stub: LlmStub, behaviour: Behaviour, tries: int
) -> None:
    stub.plays(behaviour)
    turn = asks()
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(HASTY["answer_seconds"] + 0.5):
            parts = await parts_of(hasty, turn)
    draft = draft_of(turn, parts)
    assert draft.start.responder == BUILT_IN
    assert draft.text == " ".join(reply(turn).sentences)
    assert notices(parts) == ["llm_away"]
    assert len(stub.asked) == tries
    assert KEY not in str(logs)
    async with asyncio.timeout(1):
        while stub.open:
            await asyncio.sleep(0.01)


async def test_an_endless_answer_ends(llm: Llm, stub: LlmStub) -> None:
    stub.plays(sends(chunk("word " * 20), ends="again"))
    turn = asks()
    draft = draft_of(turn, await parts_of(llm, turn))
    assert draft.start.responder == LLM
    assert draft.text.endswith(CUT)
    assert len(draft.text) <= 400 * 6 + len(CUT)


async def test_a_slow_drip_ends_with_the_time(stub: LlmStub, purse: Purse) -> None:
    stub.plays(sends(chunk("word "), 0.1, ends="again"))
    turn = asks()
    async with asking(stub.url, purse, answer_seconds=1.0) as llm, asyncio.timeout(1.5):
        draft = draft_of(turn, await parts_of(llm, turn))
    assert draft.start.responder == LLM
    assert draft.text.startswith("word word ")
    assert draft.text.endswith(CUT.strip())


async def test_a_server_that_is_not_there(purse: Purse) -> None:
    (port,) = free_ports(1)
    async with asking(f"http://127.0.0.1:{port}/v1", purse) as llm:
        parts = await parts_of(llm, asks())
    assert notices(parts) == ["llm_away"]
    assert starts(parts) == [LLM, LLM, LLM, BUILT_IN]


async def test_a_certificate_that_nobody_signed_is_not_trusted(
    purse: Purse, tmp_path: Path
) -> None:
    async with llm_stub(self_signed(tmp_path)) as stub:
        assert stub.url.startswith("https://")
        async with asking(stub.url, purse, tries=1) as llm:
            parts = await parts_of(llm, asks())
    assert (notices(parts), stub.asked) == (["llm_away"], [])


def self_signed(folder: Path) -> ssl.SSLContext:
    """A certificate of our own for 127.0.0.1, made now."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate with")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]
    names = ["-days", "1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*new, *names, *files], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


async def test_it_is_asked_again_and_what_was_shown_is_void(llm: Llm, stub: LlmStub) -> None:
    stub.plays(sends(chunk("Wro"), 0.05, ends="reset"), says("Right", "."))
    turn, frames = asks(), []
    draft = Draft(turn.record)
    for part in await parts_of(llm, turn):
        frame = draft.take(part)
        if isinstance(frame, Token):
            frames.append((frame.position, frame.text, frame.restart))
    assert draft.text == "Right."
    assert frames[:2] == [(0, "Wro", True), (0, "", True)]
    assert "".join(text for _, text, _ in frames[2:]) == "Right."
    assert len(stub.asked) == 2


async def test_the_server_says_how_long_to_wait(llm: Llm, stub: LlmStub) -> None:
    stub.plays(answers(429, Retry_After="1"), says("Now."))
    began = time.monotonic()
    parts = await parts_of(llm, asks())
    assert starts(parts) == [LLM, LLM]
    assert time.monotonic() - began >= 1


async def test_what_the_model_is_asked(llm: Llm, stub: LlmStub) -> None:
    turn = asks(prompt="Teach by examples.")._replace(
        recent=(Said("user", "hi"), Said("system", "hello", "built-in"))
    )
    await parts_of(llm, turn)
    (asked,) = stub.asked
    roles = [message["role"] for message in asked["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert "Teach by examples." in asked["messages"][0]["content"]
    assert asked["messages"][-1]["content"] == turn.record.message_text
    assert (asked["model"], asked["stream"], asked["max_tokens"]) == ("tutor", True, 400)
    assert stub.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert "Cookie" not in stub.headers[0]


async def test_while_it_is_away_nobody_waits_for_it(llm: Llm, stub: LlmStub) -> None:
    stub.plays(answers(500))
    for _ in range(2):
        await parts_of(llm, asks())
    asked = len(stub.asked)
    began = time.monotonic()
    parts = await parts_of(llm, asks())
    assert time.monotonic() - began < 0.2
    assert (notices(parts), starts(parts)) == (["llm_away"], [BUILT_IN])
    assert len(stub.asked) == asked


async def test_a_message_that_it_refuses_is_no_outage(llm: Llm, stub: LlmStub) -> None:
    stub.plays(*[answers(400)] * 9, says("Fine."))
    for _ in range(9):
        await parts_of(llm, asks())
    assert starts(await parts_of(llm, asks())) == [LLM]
