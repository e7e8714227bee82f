"""`learner demo`: a simulated class through the whole stream, on the embedded default."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import EmbeddedFile, settings_of


def demo(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as one JSON line.")] = False,
    file: EmbeddedFile = None,
) -> None:
    """Follows a simulated class of learners: no server, done within a minute.

    Exit code 0 only if every event is accounted for.
    """
    settings_of(ctx, embedded__file=file)
    raise NotImplementedError(as_json)
