"""Windows of the latest few, kept in order of time whatever the order of arrival."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, TypeVar


class _Timed(Protocol):
    timestamp: datetime


T = TypeVar("T", bound=_Timed)


def keep_latest(
    window: tuple[T, ...], item: T, size: int, order: Callable[[T], Any]
) -> tuple[T, ...]:
    """The ``size`` latest of window and item. ``order`` gives the timestamp, then whatever else
    tells two items apart, so that the outcome does not depend on who came first."""
    if not window or item.timestamp > window[-1].timestamp:
        return (*window, item) if len(window) < size else (*window[1 - size :], item)
    return tuple(sorted((*window, item), key=order)[-size:])
