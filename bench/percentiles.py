"""Waits as they are reported: the middle one, and the one that 99 in a hundred stay below."""

from __future__ import annotations

from collections.abc import Sequence


def percentiles(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """``<name>_p50_ms`` and ``<name>_p99_ms``; 0 where there was nothing to wait for."""
    ordered = sorted(seconds) or [0.0]
    return {
        f"{name}_p{share}_ms": round(1000 * ordered[round(share / 100 * (len(ordered) - 1))], 1)
        for share in (50, 99)
    }
