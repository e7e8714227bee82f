"""`learner rebuild`: a store, or the worker's tables, made anew from the log."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cli.failures import fail
from cli.json_lines import write_json
from cli.options import AppId, EmbeddedFile, Kafka, settings_of
from cli.progress import progress
from cli.sink import shown
from config.settings import Settings
from schemas.topics import EVENTS, TABLES
from sinks.registry import STORES

if TYPE_CHECKING:
    from agents.store_rebuild import Rebuilt
    from agents.table_rebuild import TablesRebuilt

T = TypeVar("T")
_WORKER = "worker"
_TABLES = (_WORKER, *TABLES)

What = Annotated[
    str,
    typer.Argument(
        metavar="STORE|TABLE",
        help=f"{', '.join(STORES)}; or {_WORKER}: its tables {', '.join(TABLES)}, all together.",
    ),
]


def rebuild(
    ctx: typer.Context,
    what: What,
    even_if_shorter: Annotated[
        bool,
        typer.Option(
            "--even-if-shorter", help="A store also if Kafka no longer has all that it has."
        ),
    ] = False,
    drop_old: Annotated[
        bool,
        typer.Option("--drop-old", help="Only drop what earlier rebuilds of the store have kept."),
    ] = False,
    wait: Annotated[
        float,
        typer.Option(min=0, help="Seconds to wait for mongodb's sink to be stopped."),
    ] = 600.0,
    kafka: Kafka = None,
    app_id: AppId = None,
    file: EmbeddedFile = None,
) -> None:
    """Makes a store, or the worker's tables, anew from the log, beside the live one; then they
    change places.

    Sinks may go on (mongodb's must be stopped for the switch: you are told when). A store's old
    contents are kept under a name that says so, until --drop-old. Workers may go on, but each
    leaves once for every partition of its own, and must be started again; better stop them. Run
    it with their settings. Stopped at any moment, run it again: until the switch, what is live
    stays as it is. One at a time. One JSON line at the end.
    """
    if what not in (*STORES, *_TABLES):
        fail(f"{what!r} is nothing to rebuild; there are {', '.join((*STORES, *_TABLES))}")
    if what in _TABLES and (even_if_shorter or drop_old):
        fail("--even-if-shorter and --drop-old are for stores: of tables, see the help")
    settings = settings_of(
        ctx,
        quiet_libraries=True,
        kafka__bootstrap_servers=kafka,
        worker__app_id=app_id,
        duckdb__file=file,
    )
    if what in _TABLES:
        write_json({"store": _WORKER, **_until_done(_rebuilt_tables(settings))._asdict()})
    elif drop_old:
        write_json({"store": what, "dropped": _until_done(_drop_old(settings, what))})
    else:
        _tell(_until_done(_rebuilt(settings, what, even_if_shorter, wait)))


def _until_done(work: Coroutine[Any, Any, T]) -> T:
    """SIGTERM ends it like Ctrl-C: what was closed to others for the switch is opened again."""

    async def run() -> T:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _tell(done: Rebuilt) -> None:
    write_json(done._asdict())
    if done.old:
        again = f"`learner rebuild {done.store} --drop-old` drops it"
        typer.echo(f"the old one is kept as {done.old}; {again}", err=True)
    if done.refused:
        look = "`learner dlq list --reason store_refused --state all`"
        typer.echo(
            f"{done.refused} records were refused, and what was resent of them in another form is "
            f"not in the new one: {look}",
            err=True,
        )


async def _rebuilt(settings: Settings, store: str, *asked: Any) -> Rebuilt:
    from agents.store_rebuild import Asked, Told, rebuild_store  # noqa: PLC0415
    from sinks.registry import beside_of, sink_of  # noqa: PLC0415

    with shown() as show:
        told = Told(show, lambda step: typer.echo(f"{store}: {step}", err=True))
        beside, live = beside_of(store, settings), sink_of(store, settings)
        return await rebuild_store(settings, beside, live, Asked(*asked), told)


async def _rebuilt_tables(settings: Settings) -> TablesRebuilt:
    from agents.table_rebuild import rebuild_tables  # noqa: PLC0415
    from audit.kafka_log import kafka_log  # noqa: PLC0415

    async with kafka_log(settings.kafka) as log:
        ends = await log.ends([EVENTS])
        with progress("replaying events", sum(ends.values())) as advance:
            return await rebuild_tables(settings, log.decided, advance)


async def _drop_old(settings: Settings, store: str) -> list[str]:
    from sinks.registry import beside_of  # noqa: PLC0415

    beside = beside_of(store, settings)
    try:
        names = await beside.old()
        for name in names:
            await beside.drop_old(name)
        return names
    finally:
        await beside.close()
