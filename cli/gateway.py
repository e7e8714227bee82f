"""`learner gateway`: learners and experts talk over WebSockets, until told to stop."""

from __future__ import annotations

from typing import Annotated

import structlog
import typer

from cli.json_lines import write_json
from cli.options import Kafka, settings_with_kafka
from cli.running import Heartbeat, run_until_stopped

log = structlog.get_logger("learner")


def gateway(
    ctx: typer.Context,
    kafka: Kafka = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. [LEARNER_CHAT__HOST]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="0: any. [LEARNER_CHAT__PORT]")
    ] = None,
    heartbeat: Heartbeat = None,
) -> None:
    """The chat: / is a page to talk on, /ws for learners, /ws/expert for experts, /metrics.

    Needs Kafka at the start, and LEARNER_CHAT__TOKEN_SECRET; Redis may come later. Start as many
    as you like: whoever loses one goes on at another. Put a proxy that speaks TLS before them, and
    keep /metrics inside. Ctrl-C or SIGTERM ends it in good order.
    """
    from chat.gateway import run_gateway  # noqa: PLC0415

    settings = settings_with_kafka(
        ctx, kafka__bootstrap_servers=kafka, chat__host=host, chat__port=port
    )
    write_json(run_until_stopped(lambda stop: run_gateway(settings, stop, _say), heartbeat))


def _say(host: str, port: int) -> None:
    address = f"[{host}]" if ":" in host else host
    log.info("listening", url=f"http://{address}:{port}")
