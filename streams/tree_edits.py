"""What a person may do to a tree: each edit makes the next version from those that were in force.

Pure: the versions of one tree in the order of the log, the last of them in force, give the version
to publish. Who publishes it, and what happens if two do: ``agents/tree_publisher.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from pydantic import ValidationError

from schemas.errors import EditRefused
from schemas.feature import FEATURE_INDEX, FEATURES
from schemas.fields import TreeId
from schemas.tree import Branch, Leaf, TreeDocument
from streams.tree_changes import Path, changes, places, rule_of

Versions = Sequence[TreeDocument]
"""Of one tree, each in force after the one before it; never empty."""


class Editor(NamedTuple):
    """Who makes a version, why, and when (UTC)."""

    author: str
    reason: str
    at: datetime


class Moved(NamedTuple):
    """A rule whose threshold is another one, by its id in the later version."""

    rule_id: str
    feature: str
    before: float
    after: float


class Relabelled(NamedTuple):
    """A leaf that gives another label than the leaf in its place did."""

    rule_id: str
    before: str
    after: str


class Differences(NamedTuple):
    """``added`` and ``removed``: ids of rules, in the order of the nodes. ``said``: all in words.

    A rule is the same one if the same features were asked before it, with the same answers.
    """

    moved: tuple[Moved, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    relabelled: tuple[Relabelled, ...]
    said: tuple[str, ...]


def set_threshold(
    versions: Versions, rule_id: str, value: float, by: Editor, *, pin: bool = False
) -> TreeDocument:
    """The version in force with one threshold moved; pinned if it was, or if ``pin`` says so.

    Raises:
        EditRefused: see `with_threshold`.
    """
    in_force = versions[-1]
    edited = with_threshold(in_force, rule_id, value)
    return _next(in_force, edited, by, pinned=pin or in_force.pinned)


def pin(versions: Versions, number: int, by: Editor) -> TreeDocument:
    """The version of that number, in force until a person replaces it.

    Raises:
        EditRefused: there was none, or it is in force and pinned already.
    """
    in_force, wanted = versions[-1], numbered(versions, number)
    if in_force.pinned and wanted.nodes == in_force.nodes:
        raise EditRefused(f"{_named(in_force)}, in force, is pinned and the same already")
    return _next(in_force, wanted, by, pinned=True)


def unpin(versions: Versions, by: Editor) -> TreeDocument:
    """The version in force, which the trainer may replace again.

    Raises:
        EditRefused: it is not pinned.
    """
    in_force = versions[-1]
    if not in_force.pinned:
        raise EditRefused(f"{_named(in_force)}, in force, is not pinned")
    return _next(in_force, in_force, by, pinned=False)


def rollback(versions: Versions, to: int | None, by: Editor) -> TreeDocument:
    """An earlier version again, by default the one before; pinned if what is in force is.

    Raises:
        EditRefused: there was none, or it is the one in force.
    """
    in_force = versions[-1]
    wanted = one_before(versions) if to is None else numbered(versions, to)
    if wanted.version == in_force.version:
        raise EditRefused(f"{_named(in_force)} is in force already")
    return _next(in_force, wanted, by, pinned=in_force.pinned)


def with_threshold(document: TreeDocument, rule_id: str, value: float) -> TreeDocument:
    """The document with another threshold at one rule.

    An id that tells its own threshold, as the trainer gives them, tells the new one.

    Raises:
        EditRefused: no such rule, a leaf, no number in the feature's range, or no other than now.
    """
    at = {node.rule_id: place for place, node in enumerate(document.nodes)}.get(rule_id)
    if at is None:
        there = ", ".join(n.rule_id for n in document.nodes if isinstance(n, Branch)) or "no rule"
        raise EditRefused(f"{_named(document)} has no rule {rule_id!r}; it asks {there}")
    node = document.nodes[at]
    if isinstance(node, Leaf):
        raise EditRefused(f"{rule_id!r} of {_named(document)} is a leaf: it has no threshold")
    feature = FEATURES[FEATURE_INDEX[node.feature]]
    if not math.isfinite(value) or not feature.low <= value <= feature.high:
        raise EditRefused(
            f"{value:g} is no threshold of {feature.name}: it lies between {feature.low:g} and "
            f"{feature.high:g}"
        )
    if value == node.threshold:
        raise EditRefused(f"the threshold of {rule_id!r} is {value:g} already")
    nodes = list(document.nodes)
    nodes[at] = node.model_copy(update={"threshold": value, "rule_id": _rule_id(node, value)})
    return document.model_copy(update={"nodes": tuple(nodes)})


def numbered(versions: Versions, number: int) -> TreeDocument:
    """The version of that number.

    Raises:
        EditRefused: none of them has it.
    """
    for document in versions:
        if document.version == number:
            return document
    numbers = ", ".join(str(document.version) for document in versions)
    raise EditRefused(f"{versions[-1].tree_id} has no version {number}, only {numbers}")


def one_before(versions: Versions) -> TreeDocument:
    """The version that was in force before the one that is now.

    Raises:
        EditRefused: there was none.
    """
    if len(versions) == 1:
        raise EditRefused(f"{_named(versions[0])} is the first: there is none before it")
    return versions[-2]


def differences(before: TreeDocument, after: TreeDocument) -> Differences:
    """What the later version does otherwise than the earlier one."""
    old = dict(places(before.nodes, 0, ()))
    new = dict(places(after.nodes, 0, ()))
    both = [(old[path], node) for path, node in new.items() if path in old]
    return Differences(
        moved=tuple(_moved(both)),
        added=_only_in(new, old),
        removed=_only_in(old, new),
        relabelled=tuple(_relabelled(both, after.tree_id)),
        said=changes(before, after.nodes),
    )


def _only_in(
    these: dict[Path, Branch | Leaf], others: dict[Path, Branch | Leaf]
) -> tuple[str, ...]:
    return tuple(node.rule_id for path, node in these.items() if path not in others)


def _moved(both: list[tuple[Branch | Leaf, Branch | Leaf]]) -> Iterator[Moved]:
    for old, new in both:
        if isinstance(old, Branch) and isinstance(new, Branch) and old.threshold != new.threshold:
            yield Moved(new.rule_id, new.feature, old.threshold, new.threshold)


def _relabelled(
    both: list[tuple[Branch | Leaf, Branch | Leaf]], tree_id: TreeId
) -> Iterator[Relabelled]:
    for old, new in both:
        if isinstance(old, Leaf) and isinstance(new, Leaf):
            before, after = rule_of(old, tree_id), rule_of(new, tree_id)
            if before != after:
                yield Relabelled(new.rule_id, before, after)


def _next(in_force: TreeDocument, taken: TreeDocument, by: Editor, *, pinned: bool) -> TreeDocument:
    """The nodes of ``taken`` under the next number. What they learned from stays known of them."""
    try:
        return TreeDocument(
            tree_id=in_force.tree_id,
            version=in_force.version + 1,
            author=by.author,
            reason=by.reason,
            created_at=by.at,
            pinned=pinned,
            retraining_logs=taken.retraining_logs,
            nodes=taken.nodes,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise EditRefused(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _rule_id(node: Branch, value: float) -> str:
    told = f"{node.feature}<={node.threshold:.4g} @"
    if not node.rule_id.startswith(told):
        return node.rule_id
    return f"{node.feature}<={value:.4g} @{node.rule_id.removeprefix(told)}"


def _named(document: TreeDocument) -> str:
    return f"{document.tree_id} version {document.version}"
