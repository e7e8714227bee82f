"""Somebody who should not be let in, and whether others notice."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from example_chat.talk import new_user, talking, token_of


async def refused_with(url: str, token: str, **options: Any) -> int:
    """The close code of somebody who is not let in; nothing else was said to them."""
    async with talking(url, token, **options) as talk:
        code = await talk.until_closed()
        assert talk.frames == []
        return code


async def status_of(url: str, token: str, **options: Any) -> int:
    """The HTTP status of somebody for whom not even a WebSocket is opened."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with talking(url, token, **options):
            pass
    return refused.value.status


async def still_works(url: str) -> None:
    """Another learner can talk."""
    async with talking(url, token_of(new_user())) as talk:
        await talk.say("anybody there?")
        await talk.until(lambda: talk.texts)
