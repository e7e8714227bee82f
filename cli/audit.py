"""`learner audit`: are the stores and the worker's own tables in step with the log?"""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.failures import FAILED
from cli.json_lines import write_json
from cli.options import AppId, EmbeddedFile, Kafka, settings_of, stores_of, utc
from sinks.registry import STORES

if TYPE_CHECKING:
    from audit.run import StoreReport

_WORKER = "worker"

Audited = Annotated[
    list[str],
    typer.Argument(
        metavar="STORE…", help=f"{', '.join(STORES)}; {_WORKER}, for its own tables; or all."
    ),
]
At = Annotated[datetime | None, typer.Option(help="UTC, by when Kafka recorded the event.")]


def audit(
    ctx: typer.Context,
    stores: Audited,
    since: At = None,
    until: At = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds that worker and sinks may take to catch up.")
    ] = 60.0,
    show: Annotated[
        int, typer.Option(min=0, help="Differences of each table to show field by field.")
    ] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    kafka: Kafka = None,
    app_id: AppId = None,
    file: EmbeddedFile = None,
) -> None:
    """Compares what is in stores, and in the worker's tables, with what a replay of learner.events
    says must be there.

    Everything may run meanwhile. Exit code 0 only if nothing is missing, extra or different.
    """
    from audit.registry import audit_of  # noqa: PLC0415
    from audit.run import Asked, run_audit  # noqa: PLC0415
    from audit.worker import audit_worker  # noqa: PLC0415

    wanted = stores_of([store for store in stores if store != _WORKER])
    tables = _WORKER in stores or stores == ["all"]
    settings = settings_of(
        ctx,
        quiet_libraries=True,
        kafka__bootstrap_servers=kafka,
        worker__app_id=app_id,
        duckdb__file=file,
    )
    asked = Asked(utc(since), utc(until), wait, show)
    audits = [audit_of(store, settings) for store in wanted]
    console = Console(stderr=True)
    with console.status("") as status:
        reports = []
        if tables:
            reports.append(asyncio.run(audit_worker(settings, asked, status.update)))
        if audits:
            reports += asyncio.run(run_audit(settings, audits, asked, status.update))
    if as_json:
        write_json(_for_programs(reports))
    else:
        _show(reports, Console())
    if not all(report.in_step for report in reports):
        raise typer.Exit(FAILED)


def _for_programs(reports: list[StoreReport]) -> dict[str, object]:
    return {
        report.store: {
            **{
                what: report.total(what)
                for what in ("rows", "missing", "extra", "different", "refused")
            },
            "behind": report.behind,
            "note": report.note,
            "tables": {table.table: table for table in report.tables},
        }
        for report in reports
    }


def _show(reports: list[StoreReport], console: Console) -> None:
    table = Table("store", "table", box=None, header_style="bold")
    for name in ("rows", "missing", "extra", "different", "refused", "behind"):
        table.add_column(name, justify="right")
    for report in reports:
        for at, found in enumerate(report.tables):
            counts = (found.rows, found.missing, found.extra, found.different, found.refused)
            table.add_row(
                "" if at else report.store,
                found.table,
                *(f"{count:,}" for count in counts),
                "" if at else f"{report.behind:,}",
            )
    console.print(table)
    for report in reports:
        if report.note:
            console.print(f"{report.store}: {report.note}", highlight=False, markup=False)
        for found in report.tables:
            for difference in found.first:
                console.print(
                    f"{report.store} {difference.table} {difference.id}: {difference.kind}",
                    style="bold",
                    highlight=False,
                    markup=False,
                )
                for name, (stored, expected) in list(difference.fields.items())[:10]:
                    console.print(
                        f"  {name}: stored {_short(stored)}, expected {_short(expected)}",
                        markup=False,
                    )
    in_step = all(report.in_step for report in reports)
    console.print("in step" if in_step else "NOT in step", style="bold")


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 200 else text[:200] + "…"
