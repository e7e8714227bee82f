"""Phrases found in a text: `read` makes words of it, `Phrases.longest` finds what they are.

Case, accents and apostrophes do not matter. A ``*`` at the end of a phrase's word stands for any
ending. A phrase has a few words, so looking for one anywhere takes time linear in the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

# In the middle of a word: accents, signs of Indic scripts, joiners that some scripts need.
_INNER = "(?:[^\\W_]|[\u0300-\u036f\u0900-\u0963\u0966-\u0dff\u200c\u200d])"
_TOKEN = re.compile(f"([^\\W_]{_INNER}*(?:['’‘＇]{_INNER}+)*)|[.!?…,;:()\n。！？、，；：।]")
_ACCENT = re.compile("[\u0300-\u036f]")
_APOSTROPHE = re.compile("['’‘＇ʼ]")


class Word(NamedTuple):
    """``key``: as it is compared; ``shown``: as it was written. Both "" where a clause ends."""

    key: str
    shown: str


CLAUSE_END = Word("", "")


def read(text: str) -> list[Word]:
    """The words of a text and the ends of its clauses, in order."""
    return [
        Word(key_of(token[1]), token[1]) if token[1] else CLAUSE_END
        for token in _TOKEN.finditer(text)
    ]


def key_of(word: str) -> str:
    """Without case, accents and apostrophes; letters of other scripts keep their signs."""
    word = _APOSTROPHE.sub("", word.casefold())
    if word.isascii():
        return word
    return unicodedata.normalize("NFC", _ACCENT.sub("", unicodedata.normalize("NFKD", word)))


class Phrases:
    """A tree of phrases, word by word, each with its meaning (anything but ``None``)."""

    __slots__ = ("endings", "meaning", "words")

    def __init__(self) -> None:
        self.words: dict[str, Phrases] = {}
        self.endings: dict[str, Phrases] = {}
        self.meaning: object = None

    def add(self, phrase: str, meaning: object) -> object:
        """Adds a phrase; what it meant before, ``None`` if it is new."""
        node = self
        for word in phrase.split():
            stem = word.removesuffix("*")
            branches = node.words if stem == word else node.endings
            node = branches.setdefault(key_of(stem), Phrases())
        before, node.meaning = node.meaning, meaning
        return before

    def longest(self, words: Sequence[Word], at: int) -> tuple[int, object]:
        """Where the longest phrase beginning at ``at`` ends, and its meaning; ``(at, None)``
        without one. Of two as long the one whose words are written out."""
        found = at, self.meaning
        if at == len(words):
            return found
        key = words[at].key
        branches = [node for stem, node in self.endings.items() if key.startswith(stem)]
        if (exact := self.words.get(key)) is not None:
            branches.insert(0, exact)
        for node in branches:
            end, meaning = node.longest(words, at + 1)
            if meaning is not None and (found[1] is None or end > found[0]):
                found = end, meaning
        return found
