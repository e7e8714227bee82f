"""Whether workers decide with the tree versions and prompts that they ought to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from doctor.finding import Finding, duration, listed

GROUP = "trees"
_PATIENCE_SECONDS = 60.0
"""A running worker takes a version over within a second."""


class AdoptionFacts(NamedTuple):
    """What a partition said last on ``tree.adoptions``, and its newest event, in seconds since
    1970; ``None``: no event, or one that no worker has read yet."""

    partition: int
    versions: Mapping[str, int]
    prompt_version: str
    newest_event: float | None


class TreeFacts(NamedTuple):
    """``in_force``: by tree the highest version, and since when, 0.0 for the one in ``config/``.
    ``known``: by tree every version that can be found again. ``prompts``: the sets that can be;
    ``our_prompts`` is the one that this machine's settings name."""

    in_force: Mapping[str, tuple[int, float]]
    known: Mapping[str, frozenset[int]]
    adoptions: Sequence[AdoptionFacts]
    prompts: frozenset[str]
    our_prompts: str
    pinned: bool


def judge_trees(facts: TreeFacts, now: float) -> Iterator[Finding]:
    """``now``: seconds since 1970."""
    force = ", ".join(f"{tree} {version}" for tree, (version, _) in sorted(facts.in_force.items()))
    lost = sorted(
        {
            f"{tree} {version} (partition {adoption.partition})"
            for adoption in facts.adoptions
            for tree, version in adoption.versions.items()
            if version not in facts.known.get(tree, frozenset())
        }
    )
    stale = [] if facts.pinned else sorted(_stale(facts))
    if lost:
        yield Finding(
            GROUP,
            "versions",
            "wrong",
            f"workers decided by versions that are not on tree.versions: {listed(lost)}",
            "was the topic made anew? Without them no decision of theirs can be worked out again: "
            "bring the topic back from a copy",
        )
    if stale:
        yield Finding(
            GROUP,
            "versions",
            "warning",
            f"in force: {force}; not followed by {listed(stale)}",
            "does that worker read tree.versions (its log says `tree in force`), and is it started "
            "without --pin-trees? Start it again",
        )
    if not lost and not stale:
        how = "this machine's settings pin the seed trees" if facts.pinned else f"in force: {force}"
        since = max((at for _, at in facts.in_force.values()), default=0.0)
        ago = f", the newest for {duration(max(0.0, now - since))}" if since else ""
        told = f"{len(facts.adoptions)} partitions have decided"
        yield Finding(GROUP, "versions", "ok", f"{how}{ago}; {told}")


def _stale(facts: TreeFacts) -> Iterator[str]:
    for adoption in facts.adoptions:
        for tree, (version, since) in facts.in_force.items():
            used = adoption.versions.get(tree)
            event = adoption.newest_event
            if used is not None and used < version and event and event > since + _PATIENCE_SECONDS:
                yield f"partition {adoption.partition} ({tree} {used})"


def judge_prompts(facts: TreeFacts) -> Iterator[Finding]:
    """Which templates the prompts are made from."""
    used = {adoption.prompt_version for adoption in facts.adoptions}
    lost = sorted(used - facts.prompts)
    others = sorted(used - {facts.our_prompts})
    if lost:
        yield Finding(
            GROUP,
            "prompts",
            "wrong",
            f"workers used prompt sets that are not on prompt.sets: {listed(lost)}",
            "was the topic made anew? Bring it back from a copy, or name the folder that they came "
            "from to `learner decisions verify`",
        )
    elif others:
        yield Finding(
            GROUP,
            "prompts",
            "warning",
            f"this machine's templates are set {facts.our_prompts}, workers decided with "
            f"{listed(others)}",
            "start every worker with the same LEARNER_PROMPTS__FOLDER; `learner prompt check` "
            "shows what is in it",
        )
    else:
        found = f"set {facts.our_prompts}" + ("" if used else ", not used yet")
        yield Finding(GROUP, "prompts", "ok", found)
