"""Flags that several commands share, and the settings that a command line leads to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.failures import fail
from config.loading import load_settings
from config.logging import configure_logging
from config.settings import Settings
from sinks.registry import STORES

Kafka = Annotated[
    str | None,
    typer.Option(
        "--kafka", metavar="HOST:PORT", help="Kafka's address. [LEARNER_KAFKA__BOOTSTRAP_SERVERS]"
    ),
]
KafkaToo = Annotated[
    str | None,
    typer.Option("--kafka", metavar="HOST:PORT", help="Look on this Kafka; only where given."),
]
"""For what can be told without one: the environment alone does not send it there."""
AppId = Annotated[
    str | None,
    typer.Option(
        "--app-id",
        help="Consumer group, and prefix of changelogs and transactions. [LEARNER_WORKER__APP_ID]",
    ),
]
PinTrees = Annotated[
    bool | None,
    typer.Option(
        "--pin-trees/--no-pin-trees",
        help="Decide with the seed trees only. [LEARNER_WORKER__PIN_TREES]",
    ),
]
EveryEvent = Annotated[
    bool | None,
    typer.Option(
        "--every-event/--decision-points",
        help="A decision for every event. [LEARNER_WORKER__DECIDE_ON_EVERY_EVENT]",
    ),
]
EmbeddedFile = Annotated[
    Path | None,
    typer.Option(
        "--file",
        help="DuckDB file that keeps what came out. [LEARNER_DUCKDB__FILE]",
        dir_okay=False,
    ),
]
VersionsFile = Annotated[
    Path | None,
    typer.Option(
        "--file", help="DuckDB file that has tree versions too.", exists=True, dir_okay=False
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        min=0,
        max=65_535,
        help="Port of /metrics for Prometheus; 0: any free one. [LEARNER_METRICS__PORT]",
    ),
]
Stores = Annotated[
    list[str], typer.Argument(metavar="STORE…", help=f"{', '.join(STORES)}; or all.")
]
Input = Annotated[str, typer.Argument(metavar="FILE|-", help="JSON lines; - is stdin.")]


def stores_of(stores: list[str]) -> list[str]:
    """Each store once; all of them for ``all``.

    Raises:
        typer.Exit: one that does not exist.
    """
    wanted = list(STORES) if stores == ["all"] else list(dict.fromkeys(stores))
    if unknown := [store for store in wanted if store not in STORES]:
        fail(f"{unknown[0]!r} is no store; there are {', '.join(STORES)}, or all")
    return wanted


def utc(at: datetime | None) -> datetime | None:
    """A time from the command line; without a zone it is UTC."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


@dataclass
class Given:
    """What stood before the command; ``flags`` are named like ``kafka.partitions``."""

    flags: dict[str, Any] = field(default_factory=dict)
    env_file: Path = Path(".env")


def settings_of(ctx: typer.Context, *, quiet_libraries: bool = False, **flags: Any) -> Settings:
    """Settings with the command's own flags on top, and logging as they say.

    Flags are named ``section__field``; ``None`` means not given.
    """
    given: Given = ctx.ensure_object(Given)
    given.flags |= {
        name.replace("__", ".", 1): value for name, value in flags.items() if value is not None
    }
    settings = load_settings(given.flags, given.env_file)
    configure_logging(settings.log, libraries=not quiet_libraries)
    return settings


def settings_with_kafka(ctx: typer.Context, **flags: Any) -> Settings:
    """The same for a command that goes on for long, once Kafka has answered.

    Raises:
        BrokerUnavailable: it does not; said once, and not by the libraries' logs as well.
    """
    from agents.topic_admin import partition_counts  # noqa: PLC0415

    settings = settings_of(ctx, quiet_libraries=True, **flags)
    asyncio.run(partition_counts(settings.kafka))
    configure_logging(settings.log)
    return settings
