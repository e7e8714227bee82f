"""`learner topics`: our topics on a Kafka."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.failures import fail
from cli.json_lines import write_json
from cli.options import AppId, Kafka, settings_of

app = typer.Typer(no_args_is_help=True, help="Our topics on a Kafka.")


@app.command()
def create(
    ctx: typer.Context,
    kafka: Kafka = None,
    app_id: AppId = None,
    partitions: Annotated[
        int | None, typer.Option(help="Partitions of learner.events. [LEARNER_KAFKA__PARTITIONS]")
    ] = None,
    replication: Annotated[
        int | None, typer.Option(help="Copies of each. [LEARNER_KAFKA__REPLICATION]")
    ] = None,
) -> None:
    """Creates what is missing and compares what is there: a JSON line for each topic.

    Exit code 1 if a topic that exists differs from what we need; nothing of it is changed.
    """
    from agents.topic_admin import create_topics  # noqa: PLC0415

    settings = settings_of(
        ctx,
        quiet_libraries=True,
        kafka__bootstrap_servers=kafka,
        kafka__partitions=partitions,
        kafka__replication=replication,
        worker__app_id=app_id,
    )
    reports = asyncio.run(create_topics(settings))
    for report in reports:
        write_json(report._asdict())
    differing = [report.topic for report in reports if report.state == "differs"]
    if differing:
        fail(
            f"{', '.join(differing)}: not as we need it (see above); change it with Kafka's own "
            "tools, or delete it and run this again"
        )
