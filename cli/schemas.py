"""`learner schemas`: the contracts as JSON Schema, AsyncAPI and OpenAPI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The contracts as JSON Schema, AsyncAPI and OpenAPI.")


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="Made if it is not there.")],
) -> None:
    """Writes a JSON Schema for each contract, an AsyncAPI 3 document of the topics, and an
    OpenAPI 3.1 document of the HTTP service."""
    from schemas.export import export as export_schemas  # noqa: PLC0415

    written = export_schemas(folder)
    typer.echo(f"{len(written)} files written to {folder}", err=True)
