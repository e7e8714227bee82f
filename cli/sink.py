"""`learner sink`: keeps stores in step with what Kafka has, until told to stop."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from cli.json_lines import write_json
from cli.options import (
    AppId,
    EmbeddedFile,
    Kafka,
    MetricsPort,
    Stores,
    settings_with_kafka,
    stores_of,
)
from cli.running import Heartbeat, run_until_stopped
from sinks.registry import sink_of

if TYPE_CHECKING:
    from agents.sink import SinkProgress

log = structlog.get_logger("learner")

_LOG_SECONDS = 10.0


def sink(
    ctx: typer.Context,
    stores: Stores,
    kafka: Kafka = None,
    app_id: AppId = None,
    file: EmbeddedFile = None,
    metrics_port: MetricsPort = None,
    heartbeat: Heartbeat = None,
) -> None:
    """Writes what is on Kafka into stores, each with a consumer group of its own.

    An empty store is filled from the topics' beginning. A store that is away delays its own sink
    and nothing else; a record that it refuses goes to learner.dlq. Ctrl-C or SIGTERM ends it in
    good order, with a JSON line for each store. Where each store is: see `learner settings`.
    """
    from agents.metrics_server import serving  # noqa: PLC0415
    from agents.metrics_sink import SinkMetrics  # noqa: PLC0415
    from agents.sink import run_sinks  # noqa: PLC0415

    wanted = stores_of(stores)
    settings = settings_with_kafka(
        ctx,
        kafka__bootstrap_servers=kafka,
        worker__app_id=app_id,
        duckdb__file=file,
        metrics__port=metrics_port,
    )
    sinks = [sink_of(store, settings) for store in wanted]
    metrics = SinkMetrics(wanted)
    with serving(metrics, settings.metrics), shown() as show:
        done = run_until_stopped(
            lambda stop: run_sinks(settings, sinks, stop, show, metrics), heartbeat
        )
    for progress in done:
        write_json(progress)


@contextmanager
def shown() -> Iterator[Callable[[SinkProgress], None]]:
    """Bars with the time left on a terminal, otherwise a log line now and then."""
    if not sys.stderr.isatty():
        yield _Logged()
        return
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[error]}", markup=False),
        console=Console(stderr=True),
    )
    tasks: dict[str, TaskID] = {}

    def show(progress: SinkProgress) -> None:
        store, done = progress.store, progress.written + progress.refused
        if store not in tasks:
            tasks[store] = bars.add_task(store, error="")
        bars.update(
            tasks[store], completed=done, total=done + progress.behind, error=progress.error[:80]
        )

    with bars:
        yield show


class _Logged:
    """Says where a sink stands when that has changed, at most every ten seconds."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, tuple[object, ...]]] = {}

    def __call__(self, progress: SinkProgress) -> None:
        state = (progress.written, progress.refused, progress.behind, progress.error)
        at, before = self._told.get(progress.store, (-_LOG_SECONDS, ()))
        if state != before and time.monotonic() - at >= _LOG_SECONDS:
            self._told[progress.store] = (time.monotonic(), state)
            log.info(
                "sink",
                store=progress.store,
                written=progress.written,
                refused=progress.refused,
                behind=progress.behind,
                error=progress.error,
            )
