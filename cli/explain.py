"""`learner explain`: one learner's latest decisions in plain words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cli.failures import fail
from cli.json_lines import open_lines, write_json
from cli.options import EmbeddedFile, Kafka, settings_of
from config.settings import KafkaSettings
from schemas.decision import Decision, decision_adapter
from schemas.errors import InvalidInput, InvalidRecord
from schemas.fields import TreeId


def explain(
    ctx: typer.Context,
    user_id: Annotated[str, typer.Argument(help="The learner's UUID.")],
    source: Annotated[
        str | None,
        typer.Option("--decisions", metavar="FILE|-", help="Decisions as JSON lines, from replay."),
    ] = None,
    kafka: Kafka = None,
    file: EmbeddedFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="The decision records.")] = False,
) -> None:
    """Says who a learner was last taken for and what to do next, course by course, and why.

    Looks in the file that `learner demo` left, or in --decisions, or with --kafka in
    learner.decisions.
    """
    from streams.explanation import explain as in_words  # noqa: PLC0415

    settings = settings_of(
        ctx, quiet_libraries=True, kafka__bootstrap_servers=kafka, embedded__file=file
    )
    user_id = user_id.lower()
    if source is not None:
        found = _from_lines(source, user_id)
    elif kafka is not None:
        found = iter(asyncio.run(_from_kafka(settings.kafka, user_id)))
    else:
        found = _from_embedded(settings.embedded.file, user_id)
    latest: dict[tuple[str, TreeId], Decision] = {}
    for decision in found:
        latest[(decision.course_id, decision.tree_id)] = decision
    if not latest:
        fail(f"nothing was decided about {user_id} there")
    for decision in latest.values():
        if as_json:
            write_json(decision)
        else:
            typer.echo(in_words(decision))


def _from_lines(source: str, user_id: str) -> Iterator[Decision]:
    with open_lines(source) as lines:
        for number, line in enumerate(lines, 1):
            if user_id.encode() in line.lower():
                yield _decision(line, f"{source}, line {number}", user_id)


def _decision(line: bytes, place: str, user_id: str) -> Decision:
    try:
        decision = decision_adapter.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidRecord(f"{place}: no decision record: {first['msg']}") from None
    if decision.user_id != user_id:
        raise InvalidRecord(f"{place}: {user_id} is not its learner")
    return decision


async def _from_kafka(kafka: KafkaSettings, user_id: str) -> list[Decision]:
    from agents.topic_reader import read_topic  # noqa: PLC0415
    from agents.topics import DECISIONS  # noqa: PLC0415

    key = user_id.encode()
    return [
        _decision(record.value, f"partition {record.partition}, offset {record.offset}", user_id)
        async for record in read_topic(kafka, DECISIONS)
        if record.key == key
    ]


def _from_embedded(file: Path, user_id: str) -> Iterator[Decision]:
    if not file.exists():
        raise InvalidInput(
            f"{file}: there is no such file: run `learner demo` first, or name another place with "
            "--decisions or --kafka"
        )
    from sinks.embedded_file import decisions_of  # noqa: PLC0415

    return decisions_of(file, user_id)
