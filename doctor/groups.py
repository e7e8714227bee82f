"""Who reads our topics, and how far behind they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from doctor.finding import Finding, State, duration, listed

GROUP = "readers"
FAR_BEHIND = 10_000
"""Records, as in the alert LearnerSinkBehind."""

_SILENT_SECONDS = 600.0


class GroupFacts(NamedTuple):
    """``command`` runs the group's members. ``lag``: records not read, by topic. ``committed``:
    whether it has ever told a position. ``beyond``: partitions that end before its position."""

    who: str
    command: str
    state: str
    members: int
    committed: bool
    lag: Mapping[str, int]
    beyond: tuple[str, ...] = ()


class TrainerFacts(NamedTuple):
    """``behind``: examples since the last snapshot, which is ``seconds`` old; ``None``: none yet.
    ``between``: examples from one snapshot to the next."""

    behind: int
    seconds: float | None
    between: int


def judge_group(group: GroupFacts) -> Finding:
    """A sink or facilitator that has never run may not be wanted; a worker always is."""
    waiting = sum(group.lag.values())
    where = listed(f"{lag:,} on {topic}" for topic, lag in group.lag.items() if lag)
    lag = f"{waiting:,} records behind" + (f" ({where})" if waiting else "")
    start = f"start `{group.command}`"

    def said(state: State, found: str, advice: str = "") -> Finding:
        return Finding(GROUP, group.who, state, found, advice)

    if group.beyond:
        return said(
            "wrong",
            f"its position is behind the end of {listed(group.beyond)}: was the topic made anew?",
            "delete the changelogs and the group with the topic, or it passes over new records: "
            "docs/operations.md, LearnerEventsReplayed",
        )
    if not group.members:
        if not group.committed:
            state: State = "ok" if not waiting else "wrong" if group.who == "worker" else "warning"
            return said(state, f"has never run; {lag}", "" if state == "ok" else start)
        return said("wrong" if waiting else "warning", f"nobody reads; {lag}", start)
    members = f"{group.members} member{'s' if group.members > 1 else ''}"
    stable = "" if group.state == "Stable" else f", {group.state}"
    if waiting > FAR_BEHIND:
        return said(
            "warning",
            f"{members}{stable}, {lag}",
            "is it catching up? Look again in a minute; if not, docs/operations.md, "
            "LearnerWorkerFallsBehind and LearnerSinkBehind",
        )
    return said("ok", f"{members}{stable}, {lag}")


def judge_trainer(trainer: TrainerFacts) -> Finding:
    """It is in no group; its snapshots tell how far it is."""
    if trainer.seconds is None:
        state: State = "warning" if trainer.behind > trainer.between else "ok"
        found = f"no snapshot yet (one each {trainer.between:,} examples); {trainer.behind:,} wait"
        return Finding(GROUP, "trainer", state, found, "start `learner trainer`" * (state != "ok"))
    found = (
        f"{trainer.behind:,} examples since its last snapshot, {duration(trainer.seconds)} ago "
        f"(one each {trainer.between:,})"
    )
    if trainer.behind > 2 * trainer.between and trainer.seconds > _SILENT_SECONDS:
        return Finding(GROUP, "trainer", "wrong", found, "start `learner trainer`")
    return Finding(GROUP, "trainer", "ok", found)
