"""What `learner retrain` does: each tree learned anew, measured, told, and published if wanted."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from rich.console import Console

from cli.json_lines import write_json
from cli.progress import progress
from cli.retrain_report import as_json, show
from cli.tree_versions import version_in_force
from config.settings import Settings
from schemas.errors import LearnerError
from schemas.fields import TreeId
from schemas.tree import TreeDocument
from streams.retraining import Plan, Retrained, objection, retrain
from streams.tree_edits import Editor

log = structlog.get_logger("learner")


class _Stopped(Exception):
    """Told to stop in the middle of learning."""


@dataclass(frozen=True)
class Order:
    """What was asked for on the command line."""

    settings: Settings
    trees: tuple[TreeId, ...]
    plan: Plan
    author: str
    reason: str
    from_kafka: bool
    publish: bool
    force: bool
    as_json: bool
    out: Path | None


async def again_and_again(order: Order, every: float, stop: asyncio.Event) -> None:
    """`once`, and again so many seconds later, until ``stop`` is set."""
    while not stop.is_set():
        try:
            # In a thread, so that a signal is heard meanwhile.
            for against in await asyncio.to_thread(once, order, stop.is_set):
                log.warning("not retrained", reason=against)
        except _Stopped:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every)


def once(order: Order, stopped: Callable[[], bool]) -> list[str]:
    """Each tree once; says what failed, and what was not published although it was asked for."""
    against: list[str] = []
    documents: list[TreeDocument] = []
    for tree_id in order.trees:
        try:
            champion = version_in_force(order.settings, tree_id, order.from_kafka)
            retrained = _retrained(order, champion, stopped)
            refused = objection(champion, retrained)
            published = order.publish and (order.force or not refused)
            if published:
                _publish(order.settings, champion, retrained.document)
        except LearnerError as error:
            against.append(str(error))
            continue
        documents.append(retrained.document)
        _tell(order, retrained, refused, published)
        sys.stdout.flush()
        if order.publish and not published:
            against.append(f"{tree_id} was not published: {refused}")
    if order.out is not None and documents:
        order.out.write_text("".join(f"{d.model_dump_json()}\n" for d in documents))
    return against


def _retrained(order: Order, champion: TreeDocument, stopped: Callable[[], bool]) -> Retrained:
    from queries.duckdb import examples  # noqa: PLC0415

    by = Editor(order.author, order.reason, datetime.now(UTC))
    with progress(f"retraining {champion.tree_id}") as advance:

        def on_learned(count: int) -> None:
            if stopped():
                raise _Stopped
            advance(count)

        kept = examples(order.settings.duckdb.file, champion.tree_id)
        return retrain(kept, champion, order.plan, by, on_learned)


def _publish(settings: Settings, champion: TreeDocument, document: TreeDocument) -> None:
    from agents.tree_publisher import publish_edit  # noqa: PLC0415

    asyncio.run(
        publish_edit(settings.kafka, champion.tree_id, lambda _: document, champion.version)
    )


def _tell(order: Order, retrained: Retrained, refused: str, published: bool) -> None:
    document = retrained.document
    if order.as_json:
        write_json(as_json(retrained, refused, published))
        return
    console = Console()
    show(retrained, console)
    if published:
        said = f"Published: version {document.version} is in force."
    elif refused:
        said = f"Not published: {refused}."
    else:
        said = f"A dry run: nothing was published. --publish makes it version {document.version}."
    console.print(f"\n{said}", markup=False, highlight=False)
