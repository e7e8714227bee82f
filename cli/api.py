"""`learner api`: answers services with a learner's latest decision, until told to stop."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import structlog
import typer

from cli.options import settings_of
from cli.running import Heartbeat, run_until_stopped

log = structlog.get_logger("learner")


def api(
    ctx: typer.Context,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. [LEARNER_API__HOST]")
    ] = None,
    port: Annotated[int | None, typer.Option(help="0: any. [LEARNER_API__PORT]")] = None,
    heartbeat: Heartbeat = None,
) -> None:
    """Serves a learner's latest decisions over HTTP, to who has a key (`learner keys create`).

    They come from Redis, or from PostgreSQL; neither has to be there when this starts. Put a proxy
    that speaks TLS before it where others can listen in. Ctrl-C or SIGTERM ends it in good order.
    """
    from agents.metrics_api import ApiMetrics  # noqa: PLC0415
    from agents.metrics_server import serving  # noqa: PLC0415
    from api.app import serve  # noqa: PLC0415

    settings = settings_of(ctx, api__host=host, api__port=port)
    counted = ApiMetrics()
    with ExitStack() as stack:
        if settings.metrics.port is not None:
            stack.enter_context(serving(counted, settings.metrics))
        run_until_stopped(lambda stop: serve(settings, stop, counted, _say), heartbeat)


def _say(host: str, port: int) -> None:
    address = f"[{host}]" if ":" in host else host
    log.info("listening", url=f"http://{address}:{port}")
