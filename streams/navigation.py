"""The learner's way through the modules, and how far it leaves the course's order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from schemas.behavior import MODULE_ORDER_WINDOW, ModuleVisit
from streams.recent import keep_latest


def visit(log: tuple[ModuleVisit, ...], entry: ModuleVisit) -> tuple[ModuleVisit, ...]:
    """``module_order_log`` with one visit more, the latest ten by time."""
    return keep_latest(log, entry, MODULE_ORDER_WINDOW, _order)


def exploratory_score(log: Sequence[ModuleVisit]) -> float:
    """Share of moves off the intended path, 0–1: off-path moves / moves, 0 without a move.

    A move is two consecutive visits of one course in the window. On the path are a stay and the
    step to the next module: index i → i or i + 1. Where the index of either is not told, places
    are those of first appearance in the window: on the path are a module not seen before, a stay,
    and the step to the one first seen next; a jump back or over what was seen is off.

    Non-linear navigation as in Guo & Reinecke, "Demographic differences in how students navigate
    through MOOCs", L@S 2014 (backjumps and skips between consecutively visited sequences).
    """
    moves = off_path = 0
    places: dict[str, dict[str, int]] = {}
    latest: dict[str, ModuleVisit] = {}
    for entry in log:
        place = places.setdefault(entry.course_id, {})
        new = entry.module_id not in place
        if new:
            place[entry.module_id] = len(place)
        before = latest.get(entry.course_id)
        latest[entry.course_id] = entry
        if before is None:
            continue
        moves += 1
        if before.module_index >= 0 and entry.module_index >= 0:
            off_path += entry.module_index - before.module_index not in (0, 1)
        elif not new:
            off_path += place[entry.module_id] - place[before.module_id] not in (0, 1)
    return off_path / moves if moves else 0.0


def _order(entry: ModuleVisit) -> tuple[datetime, str, str, int]:
    return entry.timestamp, entry.course_id, entry.module_id, entry.module_index
