"""Stores rebuilt on their real servers, while worker and sink go on: compared by the audit."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from agents import store_rebuild
from agents.store_rebuild import Asked, Rebuilt, Shorter, Told, rebuild_store, refuse_shorter
from agents.topics import CHAT, DECISIONS, EVENTS
from audit.registry import audit_of
from audit.run import Asked as AuditAsked
from audit.run import StoreReport, run_audit
from config.settings import DuckdbSettings, Settings, SinkSettings
from faults.command_process import CommandProcess
from faults.committed_records import group_lag, lag
from faults.load import Load
from schemas.errors import BrokerUnavailable, EditRefused
from servers import clickhouse, mongodb, postgres
from sink_suite.rebuilt_stores import old_rows, spoil
from sinks.redis import connect
from sinks.registry import STORES, beside_of, sink_of

EVENTS_AT_FIRST = 1_500
RATE = {"mongodb": 20.0}
"""Events a second during a rebuild, 60 if not said here: FerretDB is slow."""


@pytest.fixture(
    params=[
        store if store == "duckdb" else pytest.param(store, marks=pytest.mark.long)
        for store in STORES
    ]
)
async def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def settings(
    store: str, fresh_kafka: Settings, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Settings]:
    """Of an empty store of the test's own; batches are small, so that some are under way."""
    limits = SinkSettings(
        max_records=500, max_age_seconds=0.1, retry_first_seconds=0.05, retry_longest_seconds=0.5
    )
    async with AsyncExitStack() as stack:
        section: Any
        if store == "duckdb":
            section = DuckdbSettings(file=tmp_path / "learner.duckdb")
        else:
            server = request.getfixturevalue(f"{store}_server")
            if store == "postgres":
                section = await stack.enter_async_context(postgres.new_database(server))
            elif store == "mongodb":
                section = stack.enter_context(mongodb.new_database(server))
            elif store == "clickhouse":
                section = clickhouse.new_database(server)
                stack.callback(clickhouse.drop_database, section)
            else:
                given = {"url": server.url, "password": server.password, "timeout_seconds": 20}
                if store == "redis":
                    given["url"] = f"{server.url.rpartition('/')[0]}/14"
                else:
                    name = f"t{uuid.uuid4().hex[:12]}"
                    given |= {"index": name, "conversations": f"{name}-chat"}
                section = type(getattr(fresh_kafka, store)).model_validate(given)
                if store == "redis":
                    client = connect(section)
                    await client.flushdb()
                    stack.push_async_callback(client.aclose)
                    stack.push_async_callback(client.flushdb)
        yield fresh_kafka.model_copy(update={"sink": limits, store: section})


class Running:
    """A worker and the store's sink, each a process of its own."""

    def __init__(self, settings: Settings, store: str, folder: Path) -> None:
        self._settings, self._store, self._folder = settings, store, folder
        self.processes = {name: self._start(name) for name in ("worker", f"sink {store}")}

    def _start(self, command: str) -> CommandProcess:
        return CommandProcess(command, self._settings, self._folder / "log.txt")

    def stop_sink(self) -> None:
        assert self.processes.pop(f"sink {self._store}").terminate() == 0

    def start_sink(self) -> None:
        self.processes[f"sink {self._store}"] = self._start(f"sink {self._store}")

    def done(self) -> bool:
        """Whether both have taken all that there is."""
        group = f"{self._settings.worker.app_id}-sink-{self._store}"
        topics = sink_of(self._store, self._settings).topics
        return lag(self._settings) == 0 and group_lag(self._settings, group, topics) == 0

    def assert_alive(self) -> None:
        said = (self._folder / "log.txt").read_text()[-3000:]
        assert all(process.alive for process in self.processes.values()), said


@contextmanager
def running(settings: Settings, store: str, folder: Path) -> Iterator[Running]:
    with ExitStack() as stack:
        both = Running(settings, store, folder)
        stack.callback(lambda: [process.kill() for process in both.processes.values()])
        yield both
        both.assert_alive()


async def loaded(settings: Settings, events: int, rate: float, seed: int) -> None:
    load = Load(settings.kafka.bootstrap_servers, events, rate, seed)
    await asyncio.to_thread(load.start)
    await asyncio.to_thread(load.wait)


async def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < limit, "not in time"
        await asyncio.sleep(0.2)


async def audited(settings: Settings, store: str) -> StoreReport:
    (report,) = [
        report
        for report in await run_audit(
            settings, [audit_of(store, settings)], AuditAsked(wait_seconds=120), lambda _: None
        )
        if report.store == store
    ]
    return report


async def rebuilt(settings: Settings, store: str, both: Running | None = None) -> Rebuilt:
    """While the sink goes on, if it may."""
    beside, live = beside_of(store, settings), sink_of(store, settings)

    def step(said: str) -> None:
        if said.startswith("waiting") and both is not None:
            both.stop_sink()

    done = await rebuild_store(settings, beside, live, Asked(), Told(lambda _: None, step))
    if both is not None and f"sink {store}" not in both.processes:
        both.start_sink()
    return done


async def test_rebuilt_while_events_come_in_nothing_is_lost_and_nothing_twice(
    settings: Settings, store: str, tmp_path: Path
) -> None:
    with running(settings, store, tmp_path) as both:
        await loaded(settings, EVENTS_AT_FIRST, 2_000, seed=21)
        await until(both.done)
        assert (await audited(settings, store)).in_step
        await spoil(store, settings)
        spoiled = await audited(settings, store)
        assert not spoiled.in_step, "otherwise the test shows nothing"
        meanwhile = Load(settings.kafka.bootstrap_servers, None, RATE.get(store, 60), seed=22)
        await asyncio.to_thread(meanwhile.start)
        try:
            done = await rebuilt(settings, store, both)
            await asyncio.sleep(1)
        finally:
            meanwhile.stop()
            await asyncio.to_thread(meanwhile.wait)
        assert done.old
        assert done.written > EVENTS_AT_FIRST / 2
        report = await audited(settings, store)
        assert report.in_step, (report.behind, [table.first for table in report.tables])
        assert await old_rows(store, settings, done.old) > 0
    beside = beside_of(store, settings)
    try:
        assert await beside.old() == [done.old]
        await beside.drop_old(done.old)
        assert await beside.old() == []
    finally:
        await beside.close()
    assert (await rebuilt(settings, store)).written > 0


async def test_killed_at_any_moment_and_run_again(
    settings: Settings, store: str, tmp_path: Path
) -> None:
    random_ = random.Random(5)
    log = tmp_path / "rebuild.txt"
    with running(settings, store, tmp_path) as both:
        await loaded(settings, EVENTS_AT_FIRST, 2_000, seed=23)
        await until(both.done)
        if store == "mongodb":
            both.stop_sink()
        for _ in range(3):
            process = CommandProcess(f"rebuild {store}", settings, log)
            await until(lambda: "filling" in log.read_text(), 60)
            await asyncio.sleep(random_.uniform(0, 1.5))
            process.kill()
            log.write_text("")
            report = await audited(settings, store)
            assert report.total("extra") + report.total("different") == 0, report
        process = CommandProcess(f"rebuild {store}", settings, log)
        assert await asyncio.to_thread(process.wait, 120) == 0, log.read_text()
        if store == "mongodb":
            both.start_sink()
        await loaded(settings, 500, 500, seed=24)
        report = await audited(settings, store)
        assert report.in_step, (report.behind, [table.first for table in report.tables])


async def test_a_store_that_has_more_than_kafka_is_not_rebuilt_unless_asked_to(
    settings: Settings, store: str, tmp_path: Path
) -> None:
    with running(settings, store, tmp_path) as both:
        await loaded(settings, 800, 2_000, seed=25)
        await until(both.done)
        both.stop_sink()
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    topics = {EVENTS, DECISIONS, CHAT}.intersection(sink_of(store, settings).topics)
    for done in admin.delete_records([TopicPartition(t, 0, 2) for t in topics]).values():
        done.result(10)
    with pytest.raises(EditRefused, match=rf"{store} has data from 20.*--even-if-shorter"):
        await rebuilt(settings, store)
    beside, live = beside_of(store, settings), sink_of(store, settings)
    told = Told(lambda _: None, lambda _: None)
    done = await rebuild_store(settings, beside, live, Asked(even_if_shorter=True), told)
    assert done.written > 0


async def test_a_kafka_that_falls_silent_at_the_switch_holds_nobody_up(
    settings: Settings, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(settings, store, tmp_path) as both:
        await loaded(settings, 300, 2_000, seed=26)
        await until(both.done)
        both.stop_sink()

    async def silent(*_: object) -> None:
        await asyncio.Event().wait()

    def step(said: str) -> None:
        if said == "switching":
            monkeypatch.setattr(store_rebuild._Filling, "read_on", silent)

    monkeypatch.setattr(store_rebuild, "_LAST_SECONDS", 0.2)
    beside, live = beside_of(store, settings), sink_of(store, settings)
    with pytest.raises(BrokerUnavailable, match="nothing was switched"):
        await rebuild_store(settings, beside, live, Asked(), Told(lambda _: None, step))
    monkeypatch.undo()
    assert (await audited(settings, store)).in_step
    assert (await rebuilt(settings, store)).written > 0


def test_only_a_store_that_goes_further_back_than_its_topics_is_refused() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    cut = [Shorter(DECISIONS, at), Shorter(EVENTS, at + timedelta(days=2))]
    refuse_shorter("postgres", None, cut)
    refuse_shorter("postgres", at - timedelta(days=1), [])
    refuse_shorter("postgres", at + timedelta(days=2), cut)
    with pytest.raises(
        EditRefused, match=r"learner\.events goes back to 2026-01-03 00:00 UTC only"
    ):
        refuse_shorter("postgres", at - timedelta(days=1), cut)
