"""`learner doctor`: what is wrong with this installation, and what to do."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from cli.failures import FAILED
from cli.json_lines import write_json
from cli.options import AppId, EmbeddedFile, Kafka, settings_of, stores_of
from sinks.registry import STORES

if TYPE_CHECKING:
    from doctor.finding import Finding, State

_STYLES: dict[State, str] = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


def doctor(
    ctx: typer.Context,
    stores: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STORE…]",
            help=f"{', '.join(STORES)}; or all. Those that are set or have a sink, if not given.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For a program: a JSON line for each finding.")
    ] = False,
    kafka: Kafka = None,
    app_id: AppId = None,
    file: EmbeddedFile = None,
) -> None:
    """Looks at Kafka, topics, readers, stores, clocks and this machine; changes nothing there.

    Each line is ok, warning (it will not work for ever, or not for all) or wrong (it does not work,
    or something can be lost), with what to do. Exit code 0, or 1 if something is wrong. To read the
    broker's clock, a consumer group of its own is made and deleted.
    """
    from doctor.run import examine  # noqa: PLC0415

    wanted = stores_of(stores) if stores else []
    settings = settings_of(
        ctx,
        quiet_libraries=True,
        kafka__bootstrap_servers=kafka,
        worker__app_id=app_id,
        duckdb__file=file,
    )
    with Console(stderr=True).status("") as status:
        findings = asyncio.run(examine(settings, wanted, status.update))
    if as_json:
        for finding in findings:
            write_json(finding._asdict())
    else:
        _show(findings, Console(highlight=False))
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(FAILED)


def _show(findings: list[Finding], console: Console) -> None:
    widest = max(len(finding.check) for finding in findings)
    for group, of_group in groupby(findings, lambda finding: finding.group):
        console.print(group, style="bold")
        for finding in of_group:
            style = _STYLES[finding.state]
            line = Text.assemble(
                "  ", (f"{finding.state:<8}", style), f"{finding.check:<{widest}}  ", finding.found
            )
            console.print(line, soft_wrap=True)
            if finding.advice:
                console.print(Text(f"          → {finding.advice}"), soft_wrap=True)
    counts = Counter(finding.state for finding in findings)
    console.print(", ".join(f"{counts[state]} {state}" for state in _STYLES), style="bold")
