"""`learner settings`: what is in force, secrets hidden, and who said so."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.json_lines import write_json
from cli.options import settings_of


def show_settings(
    ctx: typer.Context,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The reference of all settings instead.")
    ] = False,
) -> None:
    """Prints every setting as a JSON line: its name, variable, value and origin."""
    from config.loading import values, variable  # noqa: PLC0415
    from config.reference import settings_reference  # noqa: PLC0415

    if markdown:
        typer.echo(settings_reference(), nl=False)
        return
    settings = settings_of(ctx)
    for value in values(settings, ctx.obj.flags, ctx.obj.env_file):
        write_json({"variable": variable(value.name), **value._asdict()})
