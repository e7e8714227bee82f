"""What a new version of a tree does otherwise than the one before, in words for people."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.fields import TreeId
from schemas.tree import Branch, Leaf, TreeDocument
from streams.scoring import heaviest

MAX_CHANGES = 200

Nodes = tuple[Branch | Leaf, ...]
Path = tuple[tuple[str, str], ...]
"""The features asked on the way, each with the side taken: the place of a rule in the tree."""


def changes(before: TreeDocument, nodes: Nodes) -> tuple[str, ...]:
    """Rules removed, added, thresholds moved and labels changed; empty if both decide alike.

    A rule is the same one if the same features were asked before it, with the same answers.
    At most `MAX_CHANGES`, the last of them then says how many more there are.
    """
    tree_id = before.tree_id
    old, new = dict(places(before.nodes, 0, ())), dict(places(nodes, 0, ()))
    found = [
        *(
            f"removed {rule_of(node, tree_id)}{_where(path)}"
            for path, node in old.items()
            if path not in new
        ),
        *(
            f"added {rule_of(node, tree_id)}{_where(path)}"
            for path, node in new.items()
            if path not in old
        ),
        *_moved(old, new, tree_id),
    ]
    if len(found) > MAX_CHANGES:
        found[MAX_CHANGES - 1 :] = [f"and {len(found) - MAX_CHANGES + 1} more"]
    return tuple(found)


def _moved(
    old: dict[Path, Branch | Leaf], new: dict[Path, Branch | Leaf], tree_id: TreeId
) -> Iterator[str]:
    for path, after in new.items():
        before = old.get(path)
        if before is None:
            continue
        if isinstance(before, Branch) and isinstance(after, Branch):
            if before.threshold != after.threshold:
                yield (
                    f"moved the threshold of {after.feature} from {before.threshold:.6g} "
                    f"to {after.threshold:.6g}{_where(path)}"
                )
        elif (was := rule_of(before, tree_id)) != (now := rule_of(after, tree_id)):
            yield f"{now} instead of {was}{_where(path)}"


def places(nodes: Nodes, at: int, path: Path) -> Iterator[tuple[Path, Branch | Leaf]]:
    node = nodes[at]
    # The feature asked is part of a branch's place, so that another feature is another rule.
    if isinstance(node, Leaf):
        yield path, node
        return
    yield (*path, (node.feature, "?")), node
    yield from places(nodes, node.left, (*path, (node.feature, "low")))
    yield from places(nodes, node.right, (*path, (node.feature, "high")))


def rule_of(node: Branch | Leaf, tree_id: TreeId) -> str:
    if isinstance(node, Branch):
        return f"{node.feature} <= {node.threshold:.6g}"
    return heaviest(node.distribution, tree_id)


def _where(path: Path) -> str:
    asked = [f"{feature} {side}" for feature, side in path if side != "?"]
    return f" where {', '.join(asked)}" if asked else " at the root"
