"""`learner retrain`: trees learned anew from the examples kept in DuckDB, and a report of it."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from cli.failures import fail
from cli.options import EmbeddedFile, Kafka, settings_of
from cli.running import run_until_stopped
from cli.tree import Author
from schemas.errors import InvalidSetting
from schemas.fields import TREE_IDS, TreeId


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
    # River takes a second to load, which no other command needs.
    from agents.trainer import learning  # noqa: PLC0415
    from cli.retrain_round import Order, again_and_again, once  # noqa: PLC0415
    from streams.retraining import Plan  # noqa: PLC0415

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
        run_until_stopped(lambda stop: again_and_again(order, every, stop))
    elif against := once(order, lambda: False):
        fail("; ".join(dict.fromkeys(against)))


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
