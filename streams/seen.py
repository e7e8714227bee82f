"""Is an event a repeat? Table ``seen[user_id, day, page]`` remembers every id of a day.

The event itself says which day to look at, so a producer that sends a batch again after weeks is
recognised like one that sends it at once. A page holds `PAGE_IDS` ids of 8 bytes; when it is full
the next one begins, so that a write never grows with how much a learner has done.
Pages of days beyond the horizon are deleted, and the oldest of those on which only others did
something, after all that the learner did, once they are too many; an event from there is
`TOO_LATE` to be judged.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

PAGE_IDS = 128
_ID_BYTES = 8
_LOW = (1 << 64) - 1
_UNIX_EPOCH_DAY = 719_163

Pages = Callable[[str], bytes | None]
"""Looks a page up by its key."""


def day_number(at: datetime) -> int:
    """Days since 1970-01-01 (UTC)."""
    return at.toordinal() - _UNIX_EPOCH_DAY


def page_key(user_id: str, day: int, page: int) -> str:
    return f"{user_id}|{day}|{page}"


def event_token(event_id: str) -> bytes:
    """8 bytes that stand for an id: its two halves, xored.

    Every kind of UUID keeps at least 60 varying bits this way (a v7's half is a clock, a v1's a
    constant). Two different ids of one learner's day collide with probability under n²/2⁶⁰.
    """
    number = int(event_id.replace("-", ""), 16)
    return ((number >> 64) ^ (number & _LOW)).to_bytes(_ID_BYTES, "big")


def find(pages: Pages, user_id: str, day: int, token: bytes) -> tuple[int, bytes] | None:
    """Where the token has to be written: (page, its bytes so far); ``None`` if it was seen."""
    page = 0
    while True:
        content = pages(page_key(user_id, day, page)) or b""
        if _contains(content, token):
            return None
        if len(content) < PAGE_IDS * _ID_BYTES:
            return page, content
        page += 1


def pages_of(pages: Pages, user_id: str, day: int) -> list[str]:
    """Keys of a day's pages, to delete them."""
    keys: list[str] = []
    while pages(key := page_key(user_id, day, len(keys))) is not None:
        keys.append(key)
    return keys


def _contains(content: bytes, token: bytes) -> bool:
    at = content.find(token)
    while at % _ID_BYTES and at != -1:
        at = content.find(token, at + 1)
    return at != -1
