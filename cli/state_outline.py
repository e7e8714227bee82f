"""A learner's state as lines for a person: names beside values, long lists by their last ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from cli.terminal_text import one_line

_LAST = 5
"""Of a list, at most."""
_INNER = frozenset({
    "calibration", "confidence_reports", "course_active_at", "course_sketch", "decision_ids",
    "deliveries", "forgotten_days", "format_tallies", "format_time", "graded_attempts", "module_at",
    "offset", "open_sessions", "pending", "recent_sessions", "score_sum", "seen_days",
    "session_seconds", "skill_recency", "skill_tallies", "topic_recency", "topic_tallies",
})  # fmt: skip
"""What the others are made of."""


def outline(state: Mapping[str, Any]) -> Iterator[str]:
    """Lines for what there is: nothing that is empty, nothing that others are made of.

    Args:
        state: in JSON's types and times, as `queries` give it.
    """
    wide = max(map(len, state), default=0)
    for name, value in state.items():
        if name in _INNER or value in (None, "", [], {}):
            continue
        first, *more = _lines(value)
        yield f"{name:{wide}}  {first}"
        yield from (f"{'':{wide}}  {line}" for line in more)


def _lines(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{one_line(name)}: {in_a_line(one)}" for name, one in value.items()]
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = [in_a_line(one) for one in value[-_LAST:]]
        left_out = len(value) - len(shown)
        return [f"({left_out} before, see --json)", *shown] if left_out else shown
    return [in_a_line(value)]


def in_a_line(value: object) -> str:
    """A value of JSON's types, or a time, as words; numbers to three digits."""
    if isinstance(value, Mapping):
        told = (f"{name} {in_a_line(one)}" for name, one in value.items() if one is not None)
        return ", ".join(told)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(in_a_line, value))
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1_000 else f"{value:.0f}"
    if isinstance(value, date):
        return value.isoformat()
    return one_line(str(value))
