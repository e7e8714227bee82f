"""How far others' clocks are from this machine's."""

from __future__ import annotations

from typing import NamedTuple

from doctor.finding import Finding, State, duration

GROUP = "clocks"
_WARNING, _WRONG = 1.0, 60.0
"""Seconds. From one on latencies mislead; a minute's lease, token or transaction is worthless."""


class ClockFacts(NamedTuple):
    """``ahead``: seconds by which it is ahead of ours, negative if behind; give or take
    ``unsure`` seconds, half of what the question took."""

    whose: str
    ahead: float
    unsure: float


def measured(whose: str, before: float, theirs: float, after: float) -> ClockFacts:
    """From what it said between two looks at our own clock, in seconds since 1970."""
    return ClockFacts(whose, theirs - (before + after) / 2, (after - before) / 2)


def judge_clock(clock: ClockFacts) -> Finding:
    """By what is certain: an answer that took long proves little."""
    certain = max(0.0, abs(clock.ahead) - clock.unsure)
    way = "ahead of" if clock.ahead >= 0 else "behind"
    if certain < 0.001:
        found = f"as this machine's, within {duration(max(clock.unsure, 0.001))}"
    else:
        found = f"{duration(abs(clock.ahead))} {way} this machine's, ± {duration(clock.unsure)}"
    state: State = "ok" if certain < _WARNING else "warning" if certain < _WRONG else "wrong"
    advice = (
        "" if state == "ok" else "let chrony or systemd-timesyncd set both clocks (timedatectl)"
    )
    return Finding(GROUP, clock.whose, state, found, advice)
