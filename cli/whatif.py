"""`learner whatif`: a proposed tree on past decisions, before it goes live."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from pydantic_core import from_json
from rich.console import Console
from rich.table import Table

from cli.json_lines import write_json
from cli.options import EmbeddedFile, Kafka, settings_of
from cli.tree_versions import version_in_force
from schemas.errors import InvalidInput
from schemas.fields import TreeId
from schemas.tree import TreeDocument
from streams.scoring import compile_tree
from streams.tree_edits import with_threshold
from streams.whatif import Affected, WhatIf
from streams.whatif import whatif as score_again


def whatif(
    ctx: typer.Context,
    tree_id: Annotated[TreeId, typer.Argument(help="Which tree.")],
    tree: Annotated[
        Path | None,
        typer.Option(
            help="The proposed document: JSON, or the last one of this tree in JSON lines.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    thresholds: Annotated[
        list[str] | None,
        typer.Option(
            "--set-threshold",
            metavar="RULE=VALUE",
            help="Or: the version in force with this threshold instead; repeatable.",
        ),
    ] = None,
    now: Annotated[
        bool,
        typer.Option(
            "--in-force",
            help="Compare with what the version in force says of the same learners, not with what "
            "was said at the time.",
        ),
    ] = False,
    file: EmbeddedFile = None,
    kafka: Kafka = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as one JSON line.")] = False,
    most: Annotated[
        int, typer.Option("--show", min=0, help="How many learners are shown, at most.")
    ] = 20,
) -> None:
    """Scores past decisions' inputs with a proposed tree: who would be labelled differently.

    The decisions are those in the DuckDB file; the version in force too, or with --kafka Kafka's.
    """
    if (tree is None) == (not thresholds):
        raise typer.BadParameter("say either --tree or --set-threshold")
    from queries.duckdb import decisions  # noqa: PLC0415

    settings = settings_of(
        ctx, quiet_libraries=True, kafka__bootstrap_servers=kafka, duckdb__file=file
    )
    champion = version_in_force(settings, tree_id, kafka is not None)
    found = score_again(
        decisions(settings.duckdb.file, tree_id),
        compile_tree(_document(tree, tree_id) if tree else _moved(champion, thresholds or ())),
        compile_tree(champion) if now else None,
    )
    if as_json:
        write_json(found)
    else:
        _show(found, most, Console())


def _document(file: Path, tree_id: TreeId) -> TreeDocument:
    """The last one of the tree in a file of JSON: one document over many lines, or one a line."""
    raw = file.read_bytes()
    lines = raw.splitlines()
    found = None
    for number, text in enumerate(lines if lines and _whole(lines[0]) else [raw], 1):
        if not text.strip():
            continue
        try:
            document = TreeDocument.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise InvalidInput(
                f"{file}, document {number}: no tree document: {where} {first['msg']}"
            ) from None
        if document.tree_id == tree_id:
            found = document
    if found is None:
        raise InvalidInput(f"{file}: there is no document of {tree_id} in it")
    return found


def _whole(line: bytes) -> bool:
    try:
        from_json(line)
    except ValueError:
        return False
    return True


def _moved(document: TreeDocument, thresholds: Iterable[str]) -> TreeDocument:
    for threshold in thresholds:
        # From the right: a rule's id may hold an equals sign itself.
        rule_id, _, value = threshold.rpartition("=")
        try:
            document = with_threshold(document, rule_id, float(value))
        except ValueError:
            raise typer.BadParameter(
                f"{threshold!r} is not RULE=VALUE", param_hint="--set-threshold"
            ) from None
    return document


def _show(found: WhatIf, most: int, console: Console) -> None:
    console.print(
        f"{found.changed:,} of {found.decisions:,} decisions would give another label, and "
        f"{len(found.affected):,} of {found.learners:,} learners have one in their latest.",
        highlight=False,
    )
    if found.without_features:
        console.print(
            f"{found.without_features:,} more were made before today's features: not scored.",
            highlight=False,
        )
    changed = [t for t in found.transitions if t.then != t.proposed]
    if changed:
        table = Table(title="\nDecisions that would give another label", title_justify="left")
        table.add_column("then")
        table.add_column("proposed")
        table.add_column("decisions", justify="right")
        for t in sorted(changed, key=lambda t: -t.decisions):
            table.add_row(t.then, t.proposed, f"{t.decisions:,}")
        console.print(table)
    if found.affected and most:
        _show_learners(found.affected, most, console)


def _show_learners(affected: tuple[Affected, ...], most: int, console: Console) -> None:
    """With the rules hit, from the first that differs: what both trees ask alike is left out."""
    console.print("\nLearners, the latest decisions first", style="italic")
    latest = sorted(affected, key=lambda a: (a.timestamp, a.user_id), reverse=True)
    for learner in latest[:most]:
        same = _shared(learner.then_rules, learner.proposed_rules)
        for line in (
            f"{learner.user_id}  {learner.then} → {learner.proposed}",
            f"  then      {' › '.join(learner.then_rules[same:])}",
            f"  proposed  {' › '.join(learner.proposed_rules[same:])}",
        ):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    if len(latest) > most:
        console.print(f"… and {len(latest) - most:,} more: --show, or --json", highlight=False)


def _shared(then: tuple[str, ...], proposed: tuple[str, ...]) -> int:
    """How many rules both have in common, from the root on, before they part."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(then, proposed, strict=False))
    return sum(1 for _ in pairs)
