"""`Finding`: one line of what the doctor says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

State = Literal["ok", "warning", "wrong"]


class Finding(NamedTuple):
    """``group`` is what the line stands under, ``check`` what was looked at; ``advice`` says what
    to do, "" where nothing is to be done.

    ``warning``: it works, and will not for ever or not for all; ``wrong``: it does not work, or
    something can be lost.
    """

    group: str
    check: str
    state: State
    found: str
    advice: str = ""


def not_checked(group: str, check: str, why: str, advice: str = "") -> Finding:
    """A check that could not be done counts as something wrong: nobody knows."""
    return Finding(group, check, "wrong", f"not checked: {why}", advice)


def size(count: float) -> str:
    """Bytes for people: ``3.2 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Time for people: ``850 ms``, ``42 s``, ``3.5 h``."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    for most, unit, each in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < most:
            return f"{seconds / each:.3g} {unit}"
    return f"{seconds / 86_400:.3g} days"


def listed(names: Iterable[str], most: int = 5) -> str:
    """``a, b and 7 more``."""
    known = list(names)
    shown = ", ".join(known[:most])
    return shown if len(known) <= most else f"{shown} and {len(known) - most} more"
