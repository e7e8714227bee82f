"""Fixtures of the chat: Kafka with a worker for a whole file, and Redis for each test."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import redis
from example_chat.gateway_process import GatewayProcess
from example_chat.page import CHROMEDRIVER, CHROMIUM, Page, open_browser
from example_chat.stack import chat_settings, gateway_at
from example_chat.tutor import Tutor
from selenium import webdriver

from agents.topic_admin import create_topics
from config.settings import KafkaSettings, Settings, WorkerSettings
from faults.command_process import CommandProcess
from servers.kafka import free_ports
from servers.kafka_topics import delete_topics
from servers.store_server import StoreServer

ChatWith = Callable[..., Settings]


@pytest.fixture(scope="module")
def chat_kafka(kafka_bootstrap: str) -> Settings:
    """Topics made just now, for a file of tests."""
    settings = Settings(
        _env_file=None,
        kafka=KafkaSettings(bootstrap_servers=kafka_bootstrap),
        worker=WorkerSettings(app_id=f"t{uuid.uuid4().hex[:8]}"),
    )
    delete_topics(kafka_bootstrap)
    asyncio.run(create_topics(settings))
    return settings


@pytest.fixture(scope="module")
def worker(
    chat_kafka: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CommandProcess]:
    """A worker of its own process, for a file of tests; it has every partition."""
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    worker = CommandProcess("worker --metrics-port 0", chat_kafka, log)
    ends = time.monotonic() + 90
    while log.read_text().count("partition taken over") < chat_kafka.kafka.partitions:
        assert worker.alive, log.read_text()[-2000:]
        assert time.monotonic() < ends, "the worker takes no partition"
        time.sleep(0.1)
    yield worker
    worker.kill()


@pytest.fixture
def chat_with(chat_kafka: Settings, worker: CommandProcess, redis_server: StoreServer) -> ChatWith:
    """Settings of a chat whose Redis is empty; takes `ChatSettings` by name."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()

    def settings(**chat: object) -> Settings:
        return chat_settings(chat_kafka, redis_server.url, **chat)

    return settings


@pytest.fixture
async def gateway(chat_with: ChatWith) -> AsyncIterator[str]:
    """The address of one with the default settings."""
    async with gateway_at(chat_with()) as url:
        yield url


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    if CHROMIUM is None or CHROMEDRIVER is None:
        pytest.skip("no chromium and chromedriver here (Debian: chromium, chromium-driver)")
    browser = open_browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def gateway_process(
    chat_kafka: Settings,
    worker: CommandProcess,
    redis_server: StoreServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    """A gateway of its own process, for a file of tests."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    (port,) = free_ports(1)
    settings = chat_settings(chat_kafka, redis_server.url, port=port)
    process = GatewayProcess(settings, tmp_path_factory.mktemp("gateway") / "gateway.log")
    yield process
    process.kill()


@pytest.fixture
def page(browser: webdriver.Chrome, gateway_process: GatewayProcess) -> Page:
    """As a learner has it who has just come in."""
    page = Page(browser, gateway_process.url)
    page.enter()
    return page


@pytest.fixture
def tutor(page: Page, gateway_process: GatewayProcess) -> Tutor:
    """Of the page's session."""
    return Tutor(gateway_process.settings, page.user_id, page.session_id)
