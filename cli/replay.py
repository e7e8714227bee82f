"""`learner replay`: events from a file through the same step as in the worker, without a broker."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import EveryEvent, Input, PinTrees, settings_of


def replay(
    ctx: typer.Context,
    source: Input,
    learn: Annotated[
        bool, typer.Option("--learn", help="Run the trainer inline, the same way every time.")
    ] = False,
    pin_trees: PinTrees = None,
    every_event: EveryEvent = None,
) -> None:
    """Decisions on stdout, one a line; what happened to the events on stderr at the end."""
    settings_of(ctx, worker__pin_trees=pin_trees, worker__decide_on_every_event=every_event)
    raise NotImplementedError(source, learn)
