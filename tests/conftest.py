"""Fixtures for everybody: a real Kafka, and a clean one for each test."""

from __future__ import annotations

import importlib
import os
import shutil
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NoReturn

import pytest

from config.settings import KafkaSettings, Settings, WorkerSettings
from faults.all_stores import AllStores, all_stores
from servers import prometheus as prometheus_for_tests
from servers.broker_proxy import BrokerProxy
from servers.kafka import Kafka, start_kafka, wait_until_answers
from servers.kafka_cluster import KafkaCluster
from servers.kafka_jars import ServerUnavailable
from servers.kafka_topics import make_anew
from servers.store_server import ChildServer, GivenServer, StoreServer


def _not_here(what: str, reason: str, *, possible: bool) -> NoReturn:
    """Skips, or fails where a skip would hide something.

    ``CI=true``: what this machine could run must run. ``LEARNER_REQUIRE_SERVERS=1``: all must.
    """
    must = os.environ.get("LEARNER_REQUIRE_SERVERS") == "1"
    if must or (possible and os.environ.get("CI") == "true"):
        pytest.fail(f"{what} is required here: {reason}", pytrace=False)
    pytest.skip(f"{what}: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    """Of a test that starts its servers itself."""
    try:
        return (yield)
    except ServerUnavailable as error:
        _not_here("a server", str(error), possible=error.possible)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that none is begun when the others are through."""
    items.sort(key=lambda item: item.path.parent.name not in {"faults", "end_to_end"})


@pytest.fixture(scope="session")
def _kafka() -> Iterator[Kafka | ServerUnavailable]:
    try:
        kafka = start_kafka()
    except ServerUnavailable as error:
        yield error
        return
    yield kafka
    kafka.stop()


@pytest.fixture(scope="session")
def kafka_bootstrap(request: pytest.FixtureRequest) -> str:
    """ "host:port" of the session's Kafka: ``LEARNER_TEST_KAFKA``, Docker's, or one from jars."""
    given = os.environ.get("LEARNER_TEST_KAFKA")
    if given:
        wait_until_answers(given, lambda: None, seconds=10)
        return given
    kafka = request.getfixturevalue("_kafka")
    if isinstance(kafka, ServerUnavailable):
        _not_here("Kafka", str(kafka), possible=kafka.possible)
    return str(kafka.bootstrap)


@pytest.fixture
def fresh_kafka(kafka_bootstrap: str) -> Settings:
    """Settings of a Kafka whose topics were made just now, and an ``app_id`` of the test's own.

    Topic names are fixed, so all topics are deleted first; consumer groups, changelogs and
    transactional ids are new with the ``app_id``. Workers must end with the test.
    """
    settings = Settings(
        _env_file=None,
        kafka=KafkaSettings(bootstrap_servers=kafka_bootstrap),
        worker=WorkerSettings(app_id=f"t{uuid.uuid4().hex[:8]}"),
    )
    make_anew(settings)
    return settings


@pytest.fixture
def own_kafka() -> Iterator[Callable[[], Kafka]]:
    """Starts brokers that a test may kill; they end with it."""
    started: list[Kafka] = []

    def start() -> Kafka:
        try:
            started.append(start_kafka())
        except ServerUnavailable as error:
            _not_here("a Kafka to kill", str(error), possible=error.possible)
        return started[-1]

    yield start
    for kafka in started:
        kafka.stop()


@pytest.fixture(scope="module")
def kafka_cluster() -> Iterator[KafkaCluster]:
    """Three brokers and a proxy before them, for the tests of one file."""
    try:
        cluster = KafkaCluster(proxied=True)
        cluster.start()
    except ServerUnavailable as error:
        _not_here("three brokers and a proxy", str(error), possible=error.possible)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def broker_proxy() -> Iterator[Callable[[Sequence[int]], BrokerProxy]]:
    """Starts proxies before ports of this machine; they end with the tests of the file."""
    started: list[BrokerProxy] = []

    def start(ports: Sequence[int]) -> BrokerProxy:
        try:
            started.append(BrokerProxy(ports))
            started[-1].start()
        except ServerUnavailable as error:
            _not_here("toxiproxy", str(error), possible=error.possible)
        return started[-1]

    yield start
    for proxy in started:
        proxy.stop()


@pytest.fixture
def prometheus() -> Iterator[Callable[..., ChildServer]]:
    """Starts a Prometheus (`servers.prometheus.start`); it ends with the test."""
    started: list[ChildServer] = []

    def start(targets: Mapping[str, Sequence[int]], hurry: float = 1) -> ChildServer:
        try:
            started.append(prometheus_for_tests.start(targets, hurry))
        except ServerUnavailable as error:
            _not_here("Prometheus", str(error), possible=error.possible)
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def promtool() -> str:
    """Prometheus's own checker."""
    return shutil.which("promtool") or _not_here("promtool", "not installed", possible=False)


@pytest.fixture
def stores() -> Iterator[AllStores]:
    """Every store, empty, on a server of the test's own, which it may stop and kill."""
    with ExitStack() as stack:
        try:
            started = stack.enter_context(all_stores())
        except ServerUnavailable as error:
            _not_here("every store", str(error), possible=error.possible)
        yield started


def _store_fixture(name: str) -> Any:
    """A session's server of one store: ``LEARNER_TEST_<STORE>``, Docker's, or the machine's."""

    @pytest.fixture(scope="session", name=f"{name}_server")
    def server() -> Iterator[StoreServer]:
        given = os.environ.get(f"LEARNER_TEST_{name.upper()}")
        if given:
            yield GivenServer(given)
            return
        try:
            started: StoreServer = importlib.import_module(f"servers.{name}").start()
        except ServerUnavailable as error:
            _not_here(name, str(error), possible=error.possible)
        yield started
        started.stop()

    return server


postgres_server = _store_fixture("postgres")
mongodb_server = _store_fixture("mongodb")
clickhouse_server = _store_fixture("clickhouse")
redis_server = _store_fixture("redis")
elasticsearch_server = _store_fixture("elasticsearch")
