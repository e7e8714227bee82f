"""Words that others wrote, as a terminal may show them: it acts on nothing that stands in them."""

from __future__ import annotations


def printable(raw: bytes) -> str:
    """Text as it is, but for what is no UTF-8 and what does not print (control characters,
    terminal sequences, marks that turn text around), which is escaped; lines stay lines."""
    text = raw.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def one_line(text: str) -> str:
    """The same, with a blank for each run of blanks and line breaks."""
    return printable(" ".join(text.split()).encode("utf-8", "backslashreplace"))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
