"""Sinks and a worker, each a process of its own, and how far they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from agents.sink import group_of
from audit.registry import audit_of
from audit.run import Asked, StoreReport, run_audit
from config.settings import Settings, SinkSettings
from faults.all_stores import AllStores
from faults.command_process import CommandProcess
from faults.committed_records import group_lag
from sinks.registry import STORES, sink_of


def small_batches(
    settings: Settings, stores: AllStores, folder: Path, max_age_seconds: float = 0.2
) -> Settings:
    """So that there is always one under way."""
    limits = SinkSettings(max_records=200, max_age_seconds=max_age_seconds, retry_longest_seconds=1)
    return stores.settings(settings.model_copy(update={"sink": limits}), folder)


class Sinks:
    """``learner sink STORE`` for each of ``stores``, and a worker."""

    def __init__(self, settings: Settings, folder: Path, stores: Iterable[str] = STORES) -> None:
        self._settings = settings
        self._folder = folder
        self.processes = {store: self.start(store) for store in stores}
        self.worker = CommandProcess("worker", settings, folder / "worker.log")

    def start(self, store: str, fault: Mapping[str, str] | None = None) -> CommandProcess:
        return CommandProcess(f"sink {store}", self._settings, self._log(store), fault)

    def said(self, store: str) -> str:
        """All that its sinks have said, one after the other."""
        return self._log(store).read_text(errors="replace")

    def kill_and_start(self, store: str, fault: Mapping[str, str] | None = None) -> None:
        assert self.processes[store].alive, self.said(store)[-2000:]
        self.processes[store].kill()
        self.processes[store] = self.start(store, fault)

    def assert_alive(self) -> None:
        for store, process in self.processes.items():
            assert process.alive, self.said(store)[-2000:]
        assert self.worker.alive, (self._folder / "worker.log").read_text()[-2000:]

    def kill(self) -> None:
        for process in (*self.processes.values(), self.worker):
            process.kill()

    def _log(self, store: str) -> Path:
        return self._folder / f"{store}.log"


@contextmanager
def sinks(settings: Settings, folder: Path, stores: Iterable[str] = STORES) -> Iterator[Sinks]:
    running = Sinks(settings, folder, stores)
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


def audited(settings: Settings, stores: Iterable[str] = STORES) -> list[StoreReport]:
    audits = [audit_of(store, settings) for store in stores]
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
        time.sleep(0.5)
