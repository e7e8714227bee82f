"""`learner tree`: the trees that decide, version by version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.failures import fail
from cli.json_lines import write_json
from cli.options import Kafka, settings_of
from cli.tree_versions import Versions, read_versions
from schemas.fields import TreeId
from schemas.tree import Branch, TreeDocument

app = typer.Typer(no_args_is_help=True, help="The trees that decide, version by version.")

TreeFiles = Annotated[
    list[Path] | None,
    typer.Option("--trees", help="File of tree documents (JSON lines); repeatable."),
]

PublishedFile = Annotated[
    Path | None,
    typer.Option("--file", help="DuckDB file of `learner demo`.", exists=True, dir_okay=False),
]


@app.command("list")
def list_versions(
    ctx: typer.Context, trees: TreeFiles = None, kafka: Kafka = None, file: PublishedFile = None
) -> None:
    """A JSON line for each version: the seed's, those of --trees, of --file and of --kafka."""
    for tree in _versions(ctx, trees, kafka, file).values():
        write_json(
            {
                **tree.model_dump(exclude={"nodes"}),
                "nodes": len(tree.nodes),
                "leaves": sum(not isinstance(node, Branch) for node in tree.nodes),
            }
        )


@app.command()
def show(
    ctx: typer.Context,
    tree_id: Annotated[TreeId, typer.Argument(help="Which tree.")],
    version: Annotated[int | None, typer.Option(min=0, help="The newest when not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The document itself.")] = False,
    trees: TreeFiles = None,
    kafka: Kafka = None,
    file: PublishedFile = None,
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
    versions = read_versions(trees or (), settings.kafka if kafka else None)
    if file is not None:
        from sinks.embedded_file import versions_of  # noqa: PLC0415

        versions |= {(tree.tree_id, tree.version): tree for tree in versions_of(file)}
    return versions
