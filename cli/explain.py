"""`learner explain`: one learner's latest decisions in plain words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cli.failures import fail
from cli.json_lines import open_lines, write_json
from cli.options import EmbeddedFile, KafkaToo, settings_of
from cli.tree import TreeFiles
from cli.tree_versions import Compiled, Versions, read_versions
from config.settings import KafkaSettings
from schemas.decision import Decision, decision_adapter
from schemas.errors import InvalidInput, InvalidRecord
from schemas.fields import TreeId
from schemas.topics import DECISIONS


def explain(
    ctx: typer.Context,
    user_id: Annotated[str, typer.Argument(help="The learner's UUID.")],
    source: Annotated[
        str | None,
        typer.Option("--decisions", metavar="FILE|-", help="Decisions as JSON lines, from replay."),
    ] = None,
    trees: TreeFiles = None,
    kafka: KafkaToo = None,
    file: EmbeddedFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="The decision records.")] = False,
) -> None:
    """Says who a learner was last taken for and what to do next, course by course, and why.

    Looks in --file, or in --decisions (and --trees), or with --kafka in learner.decisions.
    """
    from streams.explanation import explain as in_words  # noqa: PLC0415

    settings = settings_of(
        ctx, quiet_libraries=True, kafka__bootstrap_servers=kafka, duckdb__file=file
    )
    user_id = user_id.lower()
    versions = read_versions(trees or (), settings.kafka if kafka else None)
    if source is not None:
        latest = _latest(_from_lines(source, user_id))
    elif kafka is not None:
        latest = _latest(asyncio.run(_from_kafka(settings.kafka, user_id)))
    else:
        latest, versions = _from_embedded(settings.duckdb.file, user_id, versions)
    if not latest:
        place = source or (f"{DECISIONS} of {kafka}" if kafka else settings.duckdb.file)
        fail(f"nothing was decided about {user_id} in {place}")
    known = Compiled(versions)
    for number, decision in enumerate(latest):
        if as_json:
            write_json(decision)
        else:
            typer.echo(("\n" if number else "") + in_words(decision, known.of(decision)))


def _latest(decisions: Iterable[Decision]) -> list[Decision]:
    """The last one of each course and tree."""
    latest: dict[tuple[str, TreeId], Decision] = {}
    for decision in decisions:
        latest[(decision.course_id, decision.tree_id)] = decision
    return [latest[key] for key in sorted(latest)]


def _from_lines(source: str, user_id: str) -> Iterator[Decision]:
    with open_lines(source) as lines:
        for number, line in enumerate(lines, 1):
            if user_id.encode() in line:
                decision = _decision(line, f"{source}, line {number}")
                if decision.user_id == user_id:
                    yield decision


def _decision(line: bytes, place: str) -> Decision:
    try:
        return decision_adapter.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidRecord(f"{place}: no decision record: {first['msg']}") from None


async def _from_kafka(kafka: KafkaSettings, user_id: str) -> list[Decision]:
    from agents.topic_reader import read_topic  # noqa: PLC0415

    return [
        _decision(record.value, f"partition {record.partition}, offset {record.offset}")
        async for record in read_topic(kafka, DECISIONS)
        if record.key == user_id.encode()
    ]


def _from_embedded(file: Path, user_id: str, versions: Versions) -> tuple[list[Decision], Versions]:
    if not file.exists():
        raise InvalidInput(
            f"{file}: there is no such file: name the one that `learner demo` or `learner sink "
            "duckdb` has written with --file, or look elsewhere with --decisions or --kafka"
        )
    from queries.duckdb import decisions_of, versions_of  # noqa: PLC0415

    published = {(tree.tree_id, tree.version): tree for tree in versions_of(file)}
    return _latest(decisions_of(file, user_id)), {**versions, **published}
