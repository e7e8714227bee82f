"""Tokens that a session may use, and passages of earlier sessions: neither holds an answer up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from example_chat.conversation import SESSION, USER
from redis.asyncio import Redis

from chat.llm import Llm
from chat.llm_tokens import TokenBudget, estimated_tokens
from chat.responder import BUILT_IN
from config.settings import RedisSettings
from responder_suite.contract_tests import asks, parts_of
from responder_suite.language_model import LLM, Purse, asking, notices, starts
from schemas.errors import StoreUnavailable
from servers.llm_stub import LlmStub, chunk, llm_stub, says, sends
from servers.store_server import StoreServer


@pytest.fixture
async def stub() -> AsyncIterator[LlmStub]:
    async with llm_stub() as stub:
        yield stub


@pytest.fixture
def purse() -> Purse:
    return Purse()


@pytest.fixture
async def llm(stub: LlmStub, purse: Purse) -> AsyncIterator[Llm]:
    async with asking(stub.url, purse) as llm:
        yield llm


async def test_a_spent_budget(llm: Llm, stub: LlmStub, purse: Purse) -> None:
    purse.tokens = 300
    parts = await parts_of(llm, asks())
    assert (notices(parts), starts(parts)) == (["budget_spent"], [BUILT_IN])
    assert stub.asked == []


async def test_a_budget_that_runs_out_shortens_the_answer(
    llm: Llm, stub: LlmStub, purse: Purse
) -> None:
    await parts_of(llm, asks())
    shown = estimated_tokens([m["content"] for m in stub.asked[0]["messages"]])
    purse.tokens = shown + 50
    await parts_of(llm, asks())
    assert stub.asked[1]["max_tokens"] == 50


@pytest.mark.parametrize(("usage", "counted"), [((210, 34), 244), (None, None)])
async def test_tokens_are_counted(
    llm: Llm, stub: LlmStub, purse: Purse, usage: tuple[int, int] | None, counted: int | None
) -> None:
    stub.plays(says("Look at it.", usage=usage))
    before = purse.tokens
    await parts_of(llm, asks())
    shown = [message["content"] for message in stub.asked[0]["messages"]]
    expected = counted or estimated_tokens(shown) + estimated_tokens(["Look at it."])
    assert before - purse.tokens == expected


async def test_tokens_of_tries_that_broke_off_are_counted(
    llm: Llm, stub: LlmStub, purse: Purse
) -> None:
    stub.plays(sends(chunk("Look"), 0.05, ends="reset"))
    before = purse.tokens
    await parts_of(llm, asks())
    shown = estimated_tokens([m["content"] for m in stub.asked[0]["messages"]])
    assert before - purse.tokens == 3 * (shown + estimated_tokens(["Look"]))


async def test_a_budget_that_nobody_knows_stops_no_answer(llm: Llm, purse: Purse) -> None:
    purse.away = True
    assert starts(await parts_of(llm, asks())) == [LLM]


async def test_a_sessions_tokens_in_redis(redis_server: StoreServer) -> None:
    settings = RedisSettings(url=f"{redis_server.url.rpartition('/')[0]}/14")
    async with Redis.from_url(settings.url) as client:
        await client.flushdb()
        budget = TokenBudget(settings, 1_000, 60)
        await budget.spend(f"{USER}/{SESSION}", 300)
        await budget.spend(f"{USER}/{SESSION}", 800)
        assert await budget.left(f"{USER}/{SESSION}") == -100
        assert await budget.left(f"{USER}/another") == 1_000
        assert 0 < await client.ttl(f"chat:used:{USER}/{SESSION}") <= 60
        await budget.close()


class Found:
    """Passages as told; ``None``: it never answers."""

    def __init__(self, passages: list[str] | None) -> None:
        self.passages = passages
        self.asked = 0

    async def find(self, user_id: str, session_id: str, text: str, most: int) -> list[str]:
        self.asked += 1
        if self.passages is None:
            await asyncio.Event().wait()
        if self.passages == []:
            raise StoreUnavailable("elasticsearch does not answer")
        return self.passages or []


@pytest.mark.parametrize(
    ("passages", "shown"), [(["We did halves."], True), ([], False), (None, False)]
)
async def test_passages_of_earlier_sessions(
    stub: LlmStub, purse: Purse, passages: list[str] | None, shown: bool
) -> None:
    found = Found(passages)
    async with asking(stub.url, purse, found) as llm:
        async with asyncio.timeout(1):
            await parts_of(llm, asks())
        assert ("We did halves." in json.dumps(stub.asked[0]["messages"])) is shown
        for _ in range(9):
            await parts_of(llm, asks())
    assert found.asked == (10 if shown else 3)


def test_an_estimate_is_rather_too_high() -> None:
    assert estimated_tokens([]) == 0
    assert estimated_tokens([""]) == 4
    assert estimated_tokens(["abcdef", "abcd"]) == 4 + 2 + 4 + 2
    assert estimated_tokens(["为什么"]) == 4 + 3
