"""A name from outside, as it may stand in a prompt: one short quoted word, whatever it holds.

Names come from the LMS and so, in the end, from anybody. Nothing in one may end its quotes, begin
a line, look like markup or a placeholder, or be invisible to the person who checks the prompt.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

MAX_NAME_CHARACTERS = 60
LONGEST_QUOTED = MAX_NAME_CHARACTERS + 3
"""With both quotes and the ``…`` of one that was cut."""

_ASCII_PLAIN = re.compile(r"[A-Za-z0-9_.,:;/+()-]+(?: [A-Za-z0-9_.,:;/+()-]+)*", re.ASCII)
_PLAIN_SIGNS = frozenset(" _.,:;/+()-")
_INVISIBLE = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0),
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ),
    )
)
"""What Unicode counts as letter or mark and nobody sees (of Default_Ignorable_Code_Point)."""


def quoted(name: str) -> str:
    """The name between double quotes, on one line, at most `LONGEST_QUOTED` characters.

    Letters, marks and digits of any script stay, with the signs ``_ . , : ; / + ( ) -`` and single
    spaces; every other sign becomes ``_``. So no quote, brace, bracket, percent sign, backtick,
    line end, control or direction mark is left. Cut after `MAX_NAME_CHARACTERS`, with ``…``.
    """
    return _quoted(name[: MAX_NAME_CHARACTERS + 1])


@lru_cache(maxsize=8192)
def _quoted(name: str) -> str:
    ending = "…" if len(name) > MAX_NAME_CHARACTERS else ""
    name = name[:MAX_NAME_CHARACTERS]
    if not _ASCII_PLAIN.fullmatch(name):
        name = " ".join("".join(map(_plain, name)).split()) or "_"
    return f'"{name}{ending}"'


def _plain(char: str) -> str:
    if char.isascii():
        return char if char.isalnum() or char in _PLAIN_SIGNS else "_"
    kept = unicodedata.category(char)[0] in "LMN" and char not in _INVISIBLE
    return char if kept else "_"
