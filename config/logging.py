"""Where every log line goes: one handler on stderr, for ours and for what libraries log."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor

from config.settings import LogSettings

# Each of their lines at info tells of a routine of theirs, up to several a second.
_TALKATIVE = (
    "aiokafka", "faust", "mode", "kafka", "asyncio", "agents.faust_mends", "alembic",
    "clickhouse_driver", "elastic_transport", "elasticsearch", "pymongo",
)  # fmt: skip


def configure_logging(log: LogSettings, *, libraries: bool = True) -> None:
    """Console on a terminal, JSON lines elsewhere. Called once, by the command line.

    Libraries are heard from ``warning`` on (all of it at level ``debug``). With
    ``libraries=False`` only what is critical: for a command whose own error says it all.
    """
    console = (log.format or ("console" if sys.stderr.isatty() else "json")) == "console"
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Not rich's traceback, which shows local variables: keys and tokens among them.
    plain = structlog.dev.plain_traceback
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    level = log.level.upper()
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    quiet = logging.CRITICAL if not libraries else logging.WARNING
    for name in _TALKATIVE:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.DEBUG if level == "DEBUG" and libraries else quiet)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
