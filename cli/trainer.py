"""`learner trainer`: learns from hindsight and publishes tree versions, until told to stop."""

from __future__ import annotations

import typer

from cli.json_lines import write_json
from cli.options import Kafka, MetricsPort, settings_with_kafka
from cli.running import Heartbeat, run_until_stopped


def trainer(
    ctx: typer.Context,
    kafka: Kafka = None,
    metrics_port: MetricsPort = None,
    heartbeat: Heartbeat = None,
) -> None:
    """Learns from tree.examples; only one learns at a time, a second fences the first off.

    Ctrl-C or SIGTERM ends it in good order, with a JSON line of what it did. It resumes from its
    last snapshot.
    """
    from agents.metrics_server import serving  # noqa: PLC0415
    from agents.metrics_trainer import TrainerMetrics  # noqa: PLC0415
    from agents.trainer import run_trainer  # noqa: PLC0415

    settings = settings_with_kafka(ctx, kafka__bootstrap_servers=kafka, metrics__port=metrics_port)
    metrics = TrainerMetrics()
    with serving(metrics, settings.metrics):
        done = run_until_stopped(
            lambda stop: run_trainer(settings, stop, metrics.progress), heartbeat
        )
    write_json(done._asdict())
