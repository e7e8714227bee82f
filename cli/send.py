"""`learner send`: events from a file or a pipe onto ``learner.events``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cli.failures import fail
from cli.json_lines import open_lines
from cli.options import Input, Kafka, settings_of
from cli.progress import counted

if TYPE_CHECKING:
    from schemas.errors import RejectedEvent


def send(
    ctx: typer.Context,
    source: Input,
    unchecked: Annotated[
        bool,
        typer.Option("--unchecked", help="Send every line: a worker makes dead letters of some."),
    ] = False,
    kafka: Kafka = None,
) -> None:
    """Puts events, one a line, onto learner.events, each with its learner as key.

    A line that is no event is told on stderr and not sent (exit code 1). Sending a file again does
    no harm: events that were folded count as repeats.
    """
    from agents.event_sender import send_events  # noqa: PLC0415
    from agents.worker import rules  # noqa: PLC0415

    settings = settings_of(ctx, quiet_libraries=True, kafka__bootstrap_servers=kafka)

    def refused(number: int, why: RejectedEvent) -> None:
        typer.echo(f"line {number} not sent: {why.reason.value}: {why.detail}", err=True)

    with open_lines(source) as lines:
        stripped = (line.rstrip(b"\r\n") for line in counted(lines, "sending"))
        done = asyncio.run(
            send_events(settings, rules(settings.worker), stripped, refused, unchecked=unchecked)
        )
    typer.echo(f"{done.sent} events sent, {done.refused} lines refused", err=True)
    if done.refused:
        fail("some lines were not sent: see above")
