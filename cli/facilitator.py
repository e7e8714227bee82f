"""`learner facilitator`: delivers decisions to the query-strategy service, until told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.json_lines import write_json
from cli.options import AppId, Kafka, MetricsPort, settings_with_kafka
from cli.running import Heartbeat, run_until_stopped


def facilitator(
    ctx: typer.Context,
    kafka: Kafka = None,
    app_id: AppId = None,
    ack_timeout: Annotated[
        float | None,
        typer.Option(
            help="Seconds for the first answer. [LEARNER_FACILITATOR__ACK_TIMEOUT_SECONDS]"
        ),
    ] = None,
    attempts: Annotated[
        int | None,
        typer.Option(help="Times a decision is sent at most. [LEARNER_FACILITATOR__ATTEMPTS]"),
    ] = None,
    instance_id: Annotated[
        str | None,
        typer.Option(help="Fixed name of this process's slot. [LEARNER_WORKER__INSTANCE_ID]"),
    ] = None,
    metrics_port: MetricsPort = None,
    heartbeat: Heartbeat = None,
) -> None:
    """Sends decisions on facilitator.decisions, reads facilitator.acks, tells facilitator.log.

    Start as many as you like, they share the partitions. Ctrl-C or SIGTERM ends it in good order,
    with a JSON line of what became of the deliveries. If it leaves by itself (exit code 1), start
    it again: it goes on from what Kafka has committed.
    """
    from agents.facilitator import run_facilitator  # noqa: PLC0415
    from agents.metrics_facilitator import FacilitatorMetrics  # noqa: PLC0415
    from agents.metrics_server import serving  # noqa: PLC0415

    settings = settings_with_kafka(
        ctx,
        kafka__bootstrap_servers=kafka,
        worker__app_id=app_id,
        worker__instance_id=instance_id,
        facilitator__ack_timeout_seconds=ack_timeout,
        facilitator__attempts=attempts,
        metrics__port=metrics_port,
    )
    metrics = FacilitatorMetrics()
    with serving(metrics, settings.metrics):
        done = run_until_stopped(
            lambda stop: run_facilitator(settings, stop, metrics.progress, metrics.status),
            heartbeat,
        )
    write_json(done)
