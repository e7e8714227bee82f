"""`learner retrain`: trees learned anew from the examples kept in DuckDB, and a report of it."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from cli.failures import fail
from cli.json_lines import write_json
from cli.options import EmbeddedFile, Kafka, settings_of
from cli.progress import progress
from cli.retrain_report import as_json, show
from cli.running import run_until_stopped
from cli.tree import Author
from config.settings import Settings
from schemas.errors import InvalidSetting, LearnerError
from schemas.fields import TREE_IDS, TreeId
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


def retrain_trees(
    ctx: typer.Context,
    trees: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TREE_ID]...", help="Which trees; both when not given."),
    ] = None,
    file: EmbeddedFile = None,
    kafka: Kafka = None,
    passes: Annotated[int, typer.Option(min=1, help="How often each example is learned.")] = 5,
    held_out: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of the learners to measure on.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="Who is held out, and in what order is learned.")] = 7,
    min_examples: Annotated[
        int | None, typer.Option(help="Least to learn from. [LEARNER_TRAINER__MIN_EXAMPLES]")
    ] = None,
    grace_period: Annotated[
        int, typer.Option(help="Examples a leaf sees between two attempts to split it.")
    ] = 200,
    tau: Annotated[
        float, typer.Option(help="Bound below which two equal candidates are split all the same.")
    ] = 0.2,
    delta: Annotated[
        float | None, typer.Option(help="Probability of a wrong split. [LEARNER_TRAINER__DELTA]")
    ] = None,
    max_depth: Annotated[
        int | None, typer.Option(help="Most questions asked. [LEARNER_TRAINER__MAX_DEPTH]")
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="The report as a JSON line for each tree.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the new versions, as JSON lines; see `learner whatif --tree`."),
    ] = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Put what is better in force, through Kafka.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Publish whatever stands against it.")
    ] = False,
    author: Author = None,
    reason: Annotated[
        str, typer.Option(help="Why; what was measured when not given.", show_default=False)
    ] = "",
    every: Annotated[
        float | None, typer.Option(min=1, help="Again so many seconds later, until stopped.")
    ] = None,
) -> None:
    """Learns each tree anew, in random order, and measures it on learners it has not seen.

    A dry run, unless --publish is given; that takes the version in force from Kafka, and publishes
    only what foretells more of what was held out than chance explains.
    """
    settings = settings_of(
        ctx,
        quiet_libraries=True,
        kafka__bootstrap_servers=kafka,
        duckdb__file=file,
        trainer__min_examples=min_examples,
        trainer__grace_period=grace_period,
        trainer__tau=tau,
        trainer__delta=delta,
        trainer__max_depth=max_depth,
    )
    from agents.trainer import learning  # noqa: PLC0415

    order = Order(
        settings=settings,
        trees=_tree_ids(trees),
        plan=Plan(learning(settings.trainer), passes, held_out, seed),
        author=author or _logged_in(),
        reason=reason,
        from_kafka=kafka is not None or publish,
        publish=publish,
        force=force,
        as_json=json_lines,
        out=out,
    )
    if every is not None:
        run_until_stopped(lambda stop: _again_and_again(order, every, stop))
    elif against := _round(order, lambda: False):
        fail("; ".join(dict.fromkeys(against)))


def version_in_force(settings: Settings, tree_id: TreeId, from_kafka: bool) -> TreeDocument:
    """The newest that Kafka knows, or the DuckDB file; the seed's if there is none."""
    if from_kafka:
        from agents.tree_publisher import versions_in_force  # noqa: PLC0415

        return asyncio.run(versions_in_force(settings.kafka, tree_id))[-1]
    from config.seed_trees import seed_trees  # noqa: PLC0415
    from queries.duckdb import versions_of  # noqa: PLC0415

    known = [tree for tree in versions_of(settings.duckdb.file) if tree.tree_id == tree_id]
    return max([seed_trees()[tree_id], *known], key=lambda tree: tree.version)


async def _again_and_again(order: Order, every: float, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            # In a thread, so that a signal is heard meanwhile.
            for against in await asyncio.to_thread(_round, order, stop.is_set):
                log.warning("not retrained", reason=against)
        except _Stopped:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every)


def _round(order: Order, stopped: Callable[[], bool]) -> list[str]:
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


def _tree_ids(given: list[str] | None) -> tuple[TreeId, ...]:
    """Checked here, since typer takes no list of a ``Literal``."""
    if unknown := set(given or ()) - set(TREE_IDS):
        raise typer.BadParameter(f"{sorted(unknown)[0]!r} is none of {', '.join(TREE_IDS)}")
    return tuple(tree_id for tree_id in TREE_IDS if not given or tree_id in given)


def _logged_in() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in some containers
        raise InvalidSetting("--author: this machine does not know your name") from None
