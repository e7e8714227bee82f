"""`learner tree`: the trees that decide, version by version."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.failures import fail
from cli.json_lines import write_json
from cli.options import Kafka, KafkaToo, VersionsFile, settings_of
from cli.tree_versions import Versions, read_versions
from schemas.errors import EditRefused
from schemas.fields import TreeId
from schemas.tree import Branch, TreeDocument
from streams import tree_edits
from streams.tree_edits import Differences, Editor

app = typer.Typer(no_args_is_help=True, help="The trees that decide, version by version.")

TreeFiles = Annotated[
    list[Path] | None,
    typer.Option("--trees", help="File of tree documents (JSON lines); repeatable."),
]

Tree = Annotated[TreeId, typer.Argument(help="Which tree.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; stands with the version for ever.")]
Author = Annotated[
    str | None, typer.Option("--author", help="Who does it; the user logged in when not given.")
]
Expect = Annotated[
    int | None,
    typer.Option("--expect-version", min=0, help="Only if this version is in force now."),
]


@app.command("list")
def list_versions(
    ctx: typer.Context,
    trees: TreeFiles = None,
    kafka: KafkaToo = None,
    file: VersionsFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON line for each.")] = False,
) -> None:
    """Every version: the seed's, those of --trees, of --file and of --kafka."""
    known = _versions(ctx, trees, kafka, file)
    newest = dict(known.keys())  # of the pairs with one tree the last, and they ascend
    for (tree_id, version), tree in known.items():
        if as_json:
            write_json(_summary(tree))
            continue
        marks = ", ".join(["newest"] * (version == newest[tree_id]) + ["pinned"] * tree.pinned)
        typer.echo(
            f"{tree_id} version {version}{marks and f' ({marks})'}, {len(tree.nodes)} nodes, by "
            f"{tree.author} at {tree.created_at:%Y-%m-%d %H:%M:%S}: {tree.reason}"
        )


@app.command()
def show(
    ctx: typer.Context,
    tree_id: Tree,
    version: Annotated[int | None, typer.Option(min=0, help="The newest when not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The document itself.")] = False,
    trees: TreeFiles = None,
    kafka: KafkaToo = None,
    file: VersionsFile = None,
) -> None:
    """The rules of one version, as an indented tree; with --json the document, for a program."""
    known = {v: tree for (t, v), tree in _versions(ctx, trees, kafka, file).items() if t == tree_id}
    wanted = max(known) if version is None else version
    if wanted not in known:
        fail(f"{tree_id} has no version {wanted} here, only {', '.join(map(str, known))}")
    if as_json:
        write_json(known[wanted])
        return
    tree = known[wanted]
    typer.echo(f"{tree.tree_id} version {tree.version}, by {tree.author}: {tree.reason}")
    for line in outline(tree):
        typer.echo(line)


@app.command("set-threshold", context_settings={"ignore_unknown_options": True})
def set_threshold(
    ctx: typer.Context,
    tree_id: Tree,
    rule_id: Annotated[str, typer.Argument(help="Which rule, as `learner tree show` calls it.")],
    value: Annotated[float, typer.Argument(help="Its threshold from now on.")],
    reason: Reason,
    author: Author = None,
    expect_version: Expect = None,
    pin: Annotated[bool, typer.Option("--pin", help="The trainer leaves it alone then.")] = False,
    kafka: Kafka = None,
) -> None:
    """Moves one threshold, in a new version; prints it once it is in force."""
    by = _editor(author, reason)
    _edit(
        ctx,
        kafka,
        tree_id,
        lambda versions: tree_edits.set_threshold(versions, rule_id, value, by, pin=pin),
        expect_version,
    )


@app.command("pin")
def pin_version(
    ctx: typer.Context,
    tree_id: Tree,
    version: Annotated[int, typer.Argument(min=0, help="Which version.")],
    reason: Reason,
    author: Author = None,
    expect_version: Expect = None,
    kafka: Kafka = None,
) -> None:
    """Puts a version in force, as a new one that the trainer does not replace."""
    by = _editor(author, reason)
    _edit(ctx, kafka, tree_id, lambda known: tree_edits.pin(known, version, by), expect_version)


@app.command()
def unpin(
    ctx: typer.Context,
    tree_id: Tree,
    reason: Reason,
    author: Author = None,
    expect_version: Expect = None,
    kafka: Kafka = None,
) -> None:
    """Lets the trainer replace the version in force again."""
    by = _editor(author, reason)
    _edit(ctx, kafka, tree_id, lambda versions: tree_edits.unpin(versions, by), expect_version)


@app.command()
def rollback(
    ctx: typer.Context,
    tree_id: Tree,
    reason: Reason,
    to: Annotated[
        int | None, typer.Option("--to", min=0, help="Which version; the one before by default.")
    ] = None,
    author: Author = None,
    expect_version: Expect = None,
    kafka: Kafka = None,
) -> None:
    """Puts an earlier version in force again, as a new one."""
    by = _editor(author, reason)
    _edit(ctx, kafka, tree_id, lambda known: tree_edits.rollback(known, to, by), expect_version)


@app.command()
def diff(
    ctx: typer.Context,
    tree_id: Tree,
    a: Annotated[int | None, typer.Argument(min=0, help="The one before B by default.")] = None,
    b: Annotated[int | None, typer.Argument(min=0, help="The one in force by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    trees: TreeFiles = None,
    kafka: Kafka = None,
    file: VersionsFile = None,
) -> None:
    """What version B does otherwise than A; of Kafka's, if neither --trees nor --file is given."""
    versions = _of_tree(ctx, tree_id, trees, kafka, file)
    after = versions[-1] if b is None else tree_edits.numbered(versions, b)
    before = tree_edits.one_before(versions) if a is None else tree_edits.numbered(versions, a)
    found = tree_edits.differences(before, after)
    if as_json:
        write_json(_as_json(before, after, found))
        return
    for name, tree in (("before", before), ("after", after)):
        pinned = ", pinned" if tree.pinned else ""
        typer.echo(f"{name}: version {tree.version}{pinned}, by {tree.author}: {tree.reason}")
    for line in found.said or ("both decide alike",):
        typer.echo(f"  {line}")


def outline(tree: TreeDocument) -> list[str]:
    """The tree in words, a line for each node, two spaces deeper for each level."""
    lines: list[str] = []
    todo = [(0, 0, "")]
    while todo:
        index, depth, condition = todo.pop()
        node = tree.nodes[index]
        indent = "  " * depth + condition
        if isinstance(node, Branch):
            lines.append(f"{indent}[{node.rule_id}]")
            todo.append((node.right, depth + 1, f"{node.feature} > {node.threshold:g}: "))
            todo.append((node.left, depth + 1, f"{node.feature} <= {node.threshold:g}: "))
        else:
            total = sum(node.distribution.values())
            shares = sorted(node.distribution.items(), key=lambda item: (-item[1], item[0]))
            said = ", ".join(f"{label} {weight / total:.0%}" for label, weight in shares if weight)
            lines.append(f"{indent}{said} [{node.rule_id}]")
    return lines


def _versions(
    ctx: typer.Context, trees: list[Path] | None, kafka: str | None, file: Path | None
) -> Versions:
    settings = settings_of(ctx, quiet_libraries=True, kafka__bootstrap_servers=kafka)
    return read_versions(trees or (), settings.kafka if kafka else None, file)


def _of_tree(
    ctx: typer.Context,
    tree_id: TreeId,
    trees: list[Path] | None,
    kafka: str | None,
    file: Path | None,
) -> tree_edits.Versions:
    if trees or file:
        known = _versions(ctx, trees, kafka, file)
        return [tree for (t, _), tree in sorted(known.items()) if t == tree_id]
    from agents.tree_publisher import versions_in_force  # noqa: PLC0415

    settings = settings_of(ctx, quiet_libraries=True, kafka__bootstrap_servers=kafka)
    return asyncio.run(versions_in_force(settings.kafka, tree_id))


def _edit(
    ctx: typer.Context,
    kafka: str | None,
    tree_id: TreeId,
    edit: Callable[[tree_edits.Versions], TreeDocument],
    expect: int | None,
) -> None:
    from agents.tree_publisher import publish_edit  # noqa: PLC0415

    settings = settings_of(ctx, quiet_libraries=True, kafka__bootstrap_servers=kafka)
    write_json(_summary(asyncio.run(publish_edit(settings.kafka, tree_id, edit, expect))))


def _editor(author: str | None, reason: str) -> Editor:
    if not reason.strip():
        raise EditRefused("--reason: say why, for those who come after you")
    try:
        return Editor(author or getpass.getuser(), reason, datetime.now(UTC))
    except (OSError, KeyError):  # a user id without a name, as in some containers
        raise EditRefused("--author: this machine does not know your name") from None


def _summary(tree: TreeDocument) -> dict[str, Any]:
    return {
        **tree.model_dump(exclude={"nodes"}),
        "nodes": len(tree.nodes),
        "leaves": sum(not isinstance(node, Branch) for node in tree.nodes),
    }


def _as_json(before: TreeDocument, after: TreeDocument, found: Differences) -> dict[str, Any]:
    return {
        "tree_id": after.tree_id,
        "before": _summary(before),
        "after": _summary(after),
        "moved": [moved._asdict() for moved in found.moved],
        "added": found.added,
        "removed": found.removed,
        "relabelled": [relabelled._asdict() for relabelled in found.relabelled],
        "said": found.said,
    }
