"""Ending tasks, also those in which a cancel gets lost."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from chat.ending_tasks import end, first_of


async def loses_a_cancel(ended: list[str]) -> None:
    with contextlib.suppress(asyncio.CancelledError):  # as `asyncio.wait_for` does now and then
        await asyncio.sleep(60)
    try:
        await asyncio.sleep(60)
    finally:
        ended.append("lost one")


async def test_a_lost_cancel_is_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.ending_tasks._AGAIN_SECONDS", 0.01)
    ended: list[str] = []
    tasks = [asyncio.create_task(loses_a_cancel(ended)), asyncio.create_task(asyncio.sleep(60))]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end(tasks)
    assert ended == ["lost one"]


async def test_what_ends_one_ends_all_and_is_raised() -> None:
    async def fails() -> None:
        raise ValueError("broken")

    other = asyncio.create_task(asyncio.sleep(60))
    with pytest.raises(ValueError, match="broken"):
        await first_of([asyncio.create_task(fails()), other])
    assert other.cancelled()


async def test_no_tasks_have_ended() -> None:
    await end([])
