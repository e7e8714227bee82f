"""What is judged of a store: its version, tables, whether we may write, room."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from doctor.clocks import ClockFacts
from doctor.finding import Finding, State, listed, size

Version = tuple[int, ...]

SUPPORTED: dict[str, tuple[Version, Version]] = {
    "postgres": ((11,), (15,)),
    "mongodb": ((5,), (7,)),
    "clickhouse": ((20, 1), (24,)),  # DateTime64 and ttl_only_drop_parts came with 20.1
    "redis": ((6, 2), (7,)),
    "elasticsearch": ((9,), (9,)),  # the client says version 9, which an older one refuses
    "duckdb": ((2,), (2,)),
}
"""By store: older than the first cannot work; older than the second was never tried."""

_FULL, _NEARLY_FULL = 0.05, 0.15


class Trouble(NamedTuple):
    """What a store says of itself that is not as it should be."""

    check: str
    state: State
    found: str
    advice: str


class StoreFacts(NamedTuple):
    """``version`` as the server spells it. ``tables``: which of ours are missing or old, in words;
    ``has_run``: whether its sink has. ``refusals``: why we could not write, as far as it tells.
    ``disk``: bytes free and in all. ``untold``: what it does not tell, e.g. ``free disk``."""

    store: str
    address: str
    version: str
    missing: tuple[str, ...] = ()
    outdated: str = ""
    has_run: bool = False
    refusals: tuple[str, ...] = ()
    disk: tuple[int, int] | None = None
    clock: ClockFacts | None = None
    troubles: tuple[Trouble, ...] = ()
    untold: tuple[str, ...] = ()


def judge_store(facts: StoreFacts) -> Iterator[Finding]:
    """Its findings, in order; the clock's stands with the other clocks."""
    store = facts.store
    yield _version(facts)
    if facts.outdated:
        advice = f"start a `learner sink {store}` of this version: it brings them forward"
        yield Finding(store, "tables", "wrong", facts.outdated, advice)
    elif facts.missing:
        state: State = "wrong" if facts.has_run else "warning"
        why = "its sink has filled some before" if facts.has_run else "its sink has never run"
        yield Finding(
            store,
            "tables",
            state,
            f"{listed(facts.missing)} not there; {why}",
            f"start `learner sink {store}`, which makes them"
            + (
                "; what was in them comes back by setting its group back: docs/operations.md, "
                "A store was lost"
                if facts.has_run
                else ""
            ),
        )
    elif not any(trouble.check == "tables" for trouble in facts.troubles):
        yield Finding(store, "tables", "ok", "as this program needs them")
    if facts.refusals:
        yield Finding(
            store,
            "writing",
            "wrong",
            listed(facts.refusals),
            f"give LEARNER_{store.upper()}__URL a user and server that may be written to",
        )
    elif "writing" not in facts.untold:
        yield Finding(store, "writing", "ok", "allowed, by what the store tells")
    if facts.disk is not None:
        yield _disk(facts, *facts.disk)
    for trouble in facts.troubles:
        yield Finding(store, *trouble)
    if facts.untold:
        yield Finding(store, "not told", "ok", f"it does not say: {', '.join(facts.untold)}")


def numbers(version: str) -> Version:
    """``15.18 (Debian …)`` as (15, 18)."""
    found = re.match(r"[\d.]+", version.lstrip("v"))
    return tuple(int(part) for part in found[0].split(".") if part) if found else ()


def _version(facts: StoreFacts) -> Finding:
    least, tried = SUPPORTED[facts.store]
    found = f"{facts.version} at {facts.address}"
    version = numbers(facts.version)
    if version < least:
        return Finding(
            facts.store,
            "version",
            "wrong",
            f"{found}: too old, {_text(least)} is the oldest that can work",
            f"upgrade it to {_text(tried)} or newer",
        )
    if version < tried:
        return Finding(
            facts.store,
            "version",
            "warning",
            f"{found}: this program was never tried with one older than {_text(tried)}",
            f"upgrade it to {_text(tried)} or newer",
        )
    return Finding(facts.store, "version", "ok", found)


def _disk(facts: StoreFacts, free: int, total: int) -> Finding:
    share = free / total if total else 1.0
    state: State = "ok" if share > _NEARLY_FULL else "warning" if share > _FULL else "wrong"
    advice = "" if state == "ok" else "make room: a store that is full takes nothing more"
    return Finding(facts.store, "disk", state, f"{size(free)} free ({share:.0%})", advice)


def _text(version: Version) -> str:
    return ".".join(map(str, version))
