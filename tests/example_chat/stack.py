"""Kafka with a worker, Redis, and gateways in this process: what the chat needs to work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from example_chat.talk import SECRET

from chat.gateway import serving
from config.settings import ChatSettings, RedisSettings, Settings


def chat_settings(kafka: Settings, redis_url: str, **chat: object) -> Settings:
    """Any free port, the tests' secret, and a fast Redis."""
    given = {"port": 0, "token_secret": SECRET, **chat}
    return kafka.model_copy(
        update={
            "redis": RedisSettings(url=redis_url, timeout_seconds=5),
            "chat": ChatSettings.model_validate(given),
        }
    )


@asynccontextmanager
async def gateway_at(settings: Settings) -> AsyncIterator[str]:
    """Its address, http://…"""
    async with serving(settings) as gateway:
        yield f"http://{gateway.host}:{gateway.port}"
