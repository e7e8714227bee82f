"""Sinks killed, stores killed, events sent twice: on the real servers, compared by the audit."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import pytest

from agents.sink import group_of
from audit.registry import audit_of
from audit.run import Asked, StoreReport, run_audit
from config.settings import Settings, SinkSettings
from faults.all_stores import AllStores
from faults.command_process import CommandProcess
from faults.committed_records import group_lag, lag
from faults.load import Load
from sinks.registry import STORES, sink_of

AWAY_SECONDS = 20
KILLS = 10
DOES_NOT_NOTICE_SECONDS = 6
"""A sink at work is less behind than this, in seconds of what comes in for it."""


@pytest.fixture
def settings(fresh_kafka: Settings, stores: AllStores, tmp_path: Path) -> Settings:
    """Small batches, so that there is always one under way."""
    limits = SinkSettings(max_records=200, max_age_seconds=0.2, retry_longest_seconds=1)
    return stores.settings(fresh_kafka.model_copy(update={"sink": limits}), tmp_path)


class Sinks:
    """``learner sink STORE`` for each store, and a worker."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self.processes = {store: self.start(store) for store in STORES}
        self.worker = CommandProcess("worker", settings, folder / "worker.log")

    def start(self, store: str) -> CommandProcess:
        return CommandProcess(f"sink {store}", self._settings, self._folder / f"{store}.log")

    def kill_and_start(self, store: str) -> None:
        assert self.processes[store].alive, (self._folder / f"{store}.log").read_text()[-2000:]
        self.processes[store].kill()
        self.processes[store] = self.start(store)

    def assert_alive(self) -> None:
        for store, process in self.processes.items():
            assert process.alive, (self._folder / f"{store}.log").read_text()[-2000:]
        assert self.worker.alive, (self._folder / "worker.log").read_text()[-2000:]

    def kill(self) -> None:
        for process in (*self.processes.values(), self.worker):
            process.kill()


@contextmanager
def sinks(settings: Settings, folder: Path) -> Iterator[Sinks]:
    running = Sinks(settings, folder)
    try:
        yield running
        running.assert_alive()
    finally:
        running.kill()


def behind(settings: Settings, store: str) -> int:
    group = group_of(settings.worker.app_id, store)
    return group_lag(settings, group, sink_of(store, settings).topics)


def made(settings: Settings, store: str) -> int:
    """Records on the topics of a store's sink."""
    return group_lag(settings, "nobody", sink_of(store, settings).topics)


def audited(settings: Settings) -> list[StoreReport]:
    audits = [audit_of(store, settings) for store in STORES]
    return asyncio.run(run_audit(settings, audits, Asked(wait_seconds=120), lambda _: None))


def assert_in_step(reports: list[StoreReport]) -> None:
    for report in reports:
        assert report.in_step, (report.store, report.behind, [t.first for t in report.tables])
        assert report.total("rows") > 0
        assert report.total("refused") == 0


def until(condition: Callable[[], bool], seconds: float) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "not in time"
        time.sleep(0.2)


def test_killed_ten_times_in_mid_batch_and_events_sent_twice(
    settings: Settings, tmp_path: Path
) -> None:
    """Two loads of one seed: every event comes twice, far apart."""
    bootstrap = settings.kafka.bootstrap_servers
    random_ = random.Random(5)
    with sinks(settings, tmp_path) as running:
        first = Load(bootstrap, 4_000, 1_000, seed=21)
        first.start()
        for _ in range(KILLS):
            before = {store: behind(settings, store) for store in STORES}
            # Each has taken something in since it was started, or has nothing left to take.
            until(
                lambda before=before: all(
                    behind(settings, store) != lag_ or not lag_ for store, lag_ in before.items()
                ),
                60,
            )
            for store in random_.sample(STORES, len(STORES)):
                time.sleep(random_.uniform(0, 0.2))
                running.kill_and_start(store)
        first.wait()
        again = Load(bootstrap, 4_000, 2_000, seed=21)
        again.start()
        again.wait()
        until(lambda: lag(settings) == 0, 60)
        assert_in_step(audited(settings))


def test_a_store_that_is_away_delays_its_own_sink_and_no_other(
    settings: Settings, stores: AllStores, tmp_path: Path
) -> None:
    load = Load(settings.kafka.bootstrap_servers, 9_000, 40, seed=22)
    with sinks(settings, tmp_path) as running, ExitStack() as away:
        load.start()
        until(lambda: all(made(settings, s) > 500 > behind(settings, s) for s in STORES), 60)
        for store in STORES:
            if store == "duckdb":
                # Its server is the file; away is while somebody else holds it.
                until(lambda: _held(settings, away), 20)
                back: Callable[[], object] = away.close
            else:
                stores.servers[store].kill()
                back = stores.servers[store].start
            began, worst = time.monotonic(), dict.fromkeys(STORES, 0)
            before = {each: made(settings, each) for each in STORES}
            while time.monotonic() - began < AWAY_SECONDS:
                for each in STORES:
                    worst[each] = max(worst[each], behind(settings, each))
                time.sleep(0.5)
            seconds = {
                each: AWAY_SECONDS * worst[each] / (made(settings, each) - before[each])
                for each in STORES
            }
            back()
            assert seconds.pop(store) > AWAY_SECONDS / 2, (store, worst)
            assert max(seconds.values()) < DOES_NOT_NOTICE_SECONDS, (store, seconds)
            until(lambda store=store: behind(settings, store) < 500, 60)
        load.stop()
        load.wait()
        until(lambda: lag(settings) == 0, 60)
        assert_in_step(audited(settings))
        running.assert_alive()


def _held(settings: Settings, stack: ExitStack) -> bool:
    try:
        stack.enter_context(duckdb.connect(str(settings.duckdb.file)))
    except duckdb.Error:
        return False
    return True
