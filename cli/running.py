"""Runs what works until it is told to stop: the worker and the trainer."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import structlog
import typer
import uvloop

from cli.failures import FAILED, INTERRUPTED, say
from schemas.errors import LearnerError

T = TypeVar("T")
log = structlog.get_logger("learner")


Heartbeat = Annotated[
    Path | None,
    typer.Option(help="File touched every second, for a health check."),
]


def run_until_stopped(
    work: Callable[[asyncio.Event], Awaitable[T]], heartbeat: Path | None = None
) -> T:
    """Runs ``work(stop)``; SIGTERM or Ctrl-C sets ``stop``, a second one ends at once.

    ``heartbeat`` is touched every second while the event loop turns.

    Errors of ours are raised. Any other, and `LeftInDoubt` for whatever reason, leaves the process
    there and then (exit code 1).
    """
    # For every loop that is made: Faust's consumer has one of its own.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    return asyncio.run(_run(work, heartbeat))


async def _run(work: Callable[[asyncio.Event], Awaitable[T]], heartbeat: Path | None) -> T:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            _leave(INTERRUPTED)
        log.info("stopping")
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    beating = asyncio.ensure_future(_beat(heartbeat)) if heartbeat else None
    try:
        return await work(stop)
    except LearnerError:
        raise
    except Exception as error:
        if isinstance(error.__cause__, LearnerError):
            say(str(error.__cause__))
            _leave(FAILED)
        log.exception("left: start it again, it goes on from what Kafka has committed")
        _leave(FAILED)
        raise
    finally:
        if beating:
            beating.cancel()


async def _beat(file: Path) -> None:
    while True:
        file.touch()  # noqa: ASYNC240
        await asyncio.sleep(1)


def _leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
