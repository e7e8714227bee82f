"""Flags that a learner sets on topics: those of chat messages, and the latest of them all."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from schemas.behavior import CONTENT_FLAGS_WINDOW, ContentFlag
from schemas.fields import FlaggedType

REVIEW_FLAGS: frozenset[FlaggedType] = frozenset(("confusing", "needs_revision", "too_hard"))
"""Flags that ask for the topic to be gone over again."""

_BY_NAME: dict[str, FlaggedType] = {
    "confusing": "confusing",
    "needs_revision": "needs_revision",
    "too_hard": "too_hard",
    "too_easy": "too_easy",
    "interesting": "interesting",
}


def flags_of(feedback_flags: Iterable[str]) -> list[FlaggedType]:
    """The flags we know among a message's, each once; "needs revision" is ``needs_revision``."""
    names = (flag.lower().replace(" ", "_").replace("-", "_") for flag in feedback_flags)
    return list(dict.fromkeys(_BY_NAME[name] for name in names if name in _BY_NAME))


def keep_flags(
    flags: tuple[ContentFlag, ...], new: Iterable[ContentFlag]
) -> tuple[ContentFlag, ...]:
    """``content_flags``: the latest of each topic and kind, of these the latest five, by time."""
    latest = {(flag.topic_id, flag.flagged_type): flag for flag in flags}
    for flag in new:
        known = latest.get((flag.topic_id, flag.flagged_type))
        if known is None or flag.timestamp > known.timestamp:
            latest[flag.topic_id, flag.flagged_type] = flag
    return tuple(sorted(latest.values(), key=_order)[-CONTENT_FLAGS_WINDOW:])


def _order(flag: ContentFlag) -> tuple[datetime, str, str]:
    return flag.timestamp, flag.topic_id, flag.flagged_type
