"""`learner demo`: a simulated class through the whole stream, on the embedded default."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from cli.failures import fail
from cli.json_lines import write_json
from cli.options import settings_of
from cli.progress import progress

_FILE = Path("demo.duckdb")


def demo(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as one JSON line.")] = False,
    learners: Annotated[int, typer.Option(min=1, max=2_000, help="How many learners.")] = 100,
    days: Annotated[int, typer.Option(min=7, max=366, help="How long they are followed.")] = 60,
    seed: Annotated[int, typer.Option(help="The same seed gives the same events.")] = 7,
    file: Annotated[
        Path, typer.Option(help="DuckDB file that keeps what came out.", dir_okay=False)
    ] = _FILE,
) -> None:
    """Follows a simulated class of learners: no server, done within a minute or two.

    demo.duckdb is made anew each time, another --file must not be there yet. Exit code 0 only if
    every event is accounted for.
    """
    from rich.console import Console  # noqa: PLC0415

    from demo.class_run import Class, run  # noqa: PLC0415
    from demo.report import as_json as figures_as_json  # noqa: PLC0415
    from demo.report import show  # noqa: PLC0415

    if file != _FILE and file.exists():
        fail(f"{file} is there already: name a file that is not, or delete it")
    settings = settings_of(ctx, quiet_libraries=True, duckdb__file=file)
    if settings.log.level == "info":
        # What agents tell an operator is no part of the page.
        logging.getLogger("agents").setLevel(logging.WARNING)
    with progress("following the class") as advance:
        shown = 0

        def on_progress(handled: int, _all: int) -> None:
            nonlocal shown
            advance(handled - shown)
            shown = handled

        figures = run(settings, Class(learners, days, seed), on_progress)
    if as_json:
        write_json(figures_as_json(figures))
    else:
        show(figures, settings.duckdb.file, Console())
    if figures.unaccounted:
        fail(f"{figures.unaccounted} events are not accounted for")
