"""`learner responder`: answers learners' messages, until told to stop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from cli.json_lines import write_json
from cli.options import Kafka, MetricsPort, settings_with_kafka
from cli.running import Heartbeat, run_until_stopped

if TYPE_CHECKING:
    from chat.responder_process import ResponderProgress

log = structlog.get_logger("learner")

_LOG_SECONDS = 10.0


def responder(
    ctx: typer.Context,
    kafka: Kafka = None,
    llm_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="OpenAI-compatible base URL; the built-in responder when not given. "
            "[LEARNER_RESPONDER__LLM_URL]",
        ),
    ] = None,
    llm_model: Annotated[
        str | None, typer.Option(help="Model to ask for. [LEARNER_RESPONDER__LLM_MODEL]")
    ] = None,
    metrics_port: MetricsPort = None,
    heartbeat: Heartbeat = None,
) -> None:
    """Answers learners' messages; start as many as you like, they share the work.

    By a language model if there is an address, else, and while that is away, by the built-in
    responder, which needs no network. Ctrl-C or SIGTERM ends it in good order, with a JSON line of
    what it did. What one that died had begun, another answers within seconds.
    """
    from agents.metrics_chat import ResponderMetrics  # noqa: PLC0415
    from agents.metrics_server import serving  # noqa: PLC0415
    from chat.responder_process import run_responder  # noqa: PLC0415

    settings = settings_with_kafka(
        ctx,
        kafka__bootstrap_servers=kafka,
        responder__llm_url=llm_url,
        responder__llm_model=llm_model,
        metrics__port=metrics_port,
    )
    metrics = ResponderMetrics()
    with serving(metrics, settings.metrics):
        done = run_until_stopped(
            lambda stop: run_responder(settings, stop, _Logged(), metrics), heartbeat
        )
    write_json(done)


class _Logged:
    """Says where it stands when that has changed, at most every ten seconds."""

    def __init__(self) -> None:
        self._told_at = -_LOG_SECONDS
        self._told: tuple[int, ...] = ()

    def __call__(self, progress: ResponderProgress) -> None:
        state = (progress.answered, progress.let_go, progress.waiting, progress.partitions)
        if state != self._told and time.monotonic() - self._told_at >= _LOG_SECONDS:
            self._told, self._told_at = state, time.monotonic()
            log.info(
                "responder",
                answered=progress.answered,
                let_go=progress.let_go,
                waiting=progress.waiting,
                partitions=progress.partitions,
            )
