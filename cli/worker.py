"""`learner worker`: the learner agent on a real Kafka, until it is told to stop."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import structlog
import typer

from cli.json_lines import write_json
from cli.options import AppId, EveryEvent, Kafka, MetricsPort, PinTrees, settings_with_kafka
from cli.running import Heartbeat, run_until_stopped

log = structlog.get_logger("learner")
_TELL_SECONDS = 60.0


def worker(
    ctx: typer.Context,
    kafka: Kafka = None,
    app_id: AppId = None,
    pin_trees: PinTrees = None,
    every_event: EveryEvent = None,
    instance_id: Annotated[
        str | None,
        typer.Option(help="Fixed name of this worker's slot. [LEARNER_WORKER__INSTANCE_ID]"),
    ] = None,
    state_folder: Annotated[
        Path | None,
        typer.Option(help="Keeps state on disk, in this folder. [LEARNER_WORKER__STATE_FOLDER]"),
    ] = None,
    metrics_port: MetricsPort = None,
    heartbeat: Heartbeat = None,
) -> None:
    """Folds learner.events and sends decisions; start as many as you like, they share the work.

    Ctrl-C or SIGTERM ends it in good order, with a JSON line of what happened to the records. If
    it leaves by itself (exit code 1), start it again: systemd, Kubernetes and compose all can.
    """
    from agents.metrics_server import serving  # noqa: PLC0415
    from agents.metrics_worker import WorkerMetrics  # noqa: PLC0415
    from agents.worker import run_worker  # noqa: PLC0415

    settings = settings_with_kafka(
        ctx,
        kafka__bootstrap_servers=kafka,
        worker__app_id=app_id,
        worker__pin_trees=pin_trees,
        worker__decide_on_every_event=every_event,
        worker__instance_id=instance_id,
        worker__state_folder=state_folder,
        metrics__port=metrics_port,
    )
    metrics = WorkerMetrics()
    with serving(metrics, settings.metrics):
        done = run_until_stopped(
            lambda stop: run_worker(settings, stop, told_each_minute(), metrics), heartbeat
        )
    write_json(done)


def told_each_minute(clock: Callable[[], float] = time.monotonic) -> Callable[[Counter[str]], None]:
    """Logs what happened to the records of the last minute, by outcome, if there were any."""
    told, told_at = Counter[str](), clock()

    def on_progress(counts: Counter[str]) -> None:
        nonlocal told, told_at
        if clock() - told_at < _TELL_SECONDS:
            return
        if since := counts - told:
            log.info("records of the last minute", **since)
        told, told_at = Counter(counts), clock()

    return on_progress
