"""The prompt for the tutor: a template of the set, filled with the learner's figures.

A template is plain text with `PLACEHOLDERS` in braces. Words from outside stand between double
quotes (`streams.quoted_names`), and no template may hold such a quote itself: so whoever reads a
prompt knows where a name begins and ends, whatever it says. How long a prompt can become is known
when a set is loaded, and a set that could exceed `MAX_PROMPT_CHARACTERS` is not taken.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple, get_args

from schemas.errors import InvalidSetting
from schemas.fields import LABELS, Format, LearnerLevel, TreeId, WritingStyle
from schemas.prompt import (
    WEAKEST_TOPICS,
    PromptFigures,
    PromptSet,
    level_file,
    template_file,
    version_of,
)
from streams.quoted_names import LONGEST_QUOTED, quoted

MAX_PROMPT_CHARACTERS = 2_400
MAX_BECAUSE_CHARACTERS = 600
LEVELS: tuple[LearnerLevel, ...] = get_args(LearnerLevel)

Words = dict[str, str]
"""What each placeholder becomes for one learner at one moment."""

_PLACEHOLDER = re.compile(r"\{([^{}\n]*)\}")
_JOINERS = "\u200c\u200d"
"""Invisible, but some scripts are not written without them."""
_NOT_KNOWN = "not known yet"
_NO_TOPIC = "no topic in particular"
_IN_LINE = 10
"""Percentage points by which confidence and performance may differ and still agree."""


class Placeholder(NamedTuple):
    """``meaning`` is for teachers; ``longest``: characters of the longest words it becomes."""

    meaning: str
    longest: int
    words: Callable[[PromptFigures], str]


def _course(figures: PromptFigures) -> str:
    return quoted(figures.course_id) if figures.course_id else "no course"


def _topic(figures: PromptFigures) -> str:
    return quoted(figures.topic_id) if figures.topic_id else _NO_TOPIC


def _weakest_topics(figures: PromptFigures) -> str:
    topics = figures.weakest_topics[:WEAKEST_TOPICS]
    return ", ".join([f"{quoted(t.topic_id)} {t.percentage:.0f}%" for t in topics]) or _NOT_KNOWN


def _redo_topics(figures: PromptFigures) -> str:
    return ", ".join(map(quoted, figures.redo_topics[:WEAKEST_TOPICS])) or "none"


def _share(share: float | None) -> str:
    return _NOT_KNOWN if share is None else f"{share:.0%}"


def _confidence_gap(figures: PromptFigures) -> str:
    if figures.confidence is None or figures.performance is None:
        return _NOT_KNOWN
    points = round(100 * (figures.confidence - figures.performance))
    if abs(points) < _IN_LINE:
        return "in line with the results"
    return f"{abs(points)} points {'above' if points > 0 else 'below'} the results"


def _writing_style(figures: PromptFigures) -> str:
    style = figures.writing_style
    return _NOT_KNOWN if style == "unknown" else style


_FIGURES = {
    "course": Placeholder("the course, quoted", LONGEST_QUOTED, _course),
    "topic": Placeholder("the topic of the moment, quoted", LONGEST_QUOTED, _topic),
    "weakest_topics": Placeholder(
        "up to three topics with the percentage reached, lowest first",
        WEAKEST_TOPICS * (LONGEST_QUOTED + len(" 100%, ")),
        _weakest_topics,
    ),
    "redo_topics": Placeholder(
        "up to three topics flagged for review",
        WEAKEST_TOPICS * (LONGEST_QUOTED + len(", ")),
        _redo_topics,
    ),
    "confidence": Placeholder(
        "how sure the learner said to be, per cent", len(_NOT_KNOWN), lambda f: _share(f.confidence)
    ),
    "performance": Placeholder(
        "mean of the latest five graded answers, per cent",
        len(_NOT_KNOWN),
        lambda f: _share(f.performance),
    ),
    "confidence_gap": Placeholder(
        "confidence against performance, in words",
        len("100 points above the results"),
        _confidence_gap,
    ),
    "best_format": Placeholder(
        "text, image, video, or any format",
        max(map(len, ("any format", *get_args(Format)))),
        lambda f: f.best_format or "any format",
    ),
    "writing_style": Placeholder(
        "how the learner writes",
        max(map(len, (_NOT_KNOWN, *get_args(WritingStyle)))),
        _writing_style,
    ),
}

PLACEHOLDERS: dict[str, str] = {
    "because": "why the tree decided so, in a sentence",
    "reading_level": "the text of reading_levels/ for the learner's level; intermediate if unknown",
    **{name: placeholder.meaning for name, placeholder in _FIGURES.items()},
}
"""Every placeholder and what it becomes."""


class Prompts:
    """A set of templates, ready to be filled.

    ``longest``: characters of the longest prompt that each template can become.

    Raises:
        InvalidSetting: a text is missing, empty, could become too long, or holds an unknown
            placeholder, a double quote or an invisible character. Begins with the text's file.
    """

    def __init__(self, templates: PromptSet) -> None:
        self.set = templates
        self.version = templates.version
        self.longest: dict[tuple[TreeId, str], int] = {}
        self._texts: dict[tuple[TreeId, str], tuple[str, Callable[[Words], Any]]] = {}
        self._levels: dict[LearnerLevel | None, str] = {}
        used: set[str] = set()
        for tree_id, labels in LABELS.items():
            for label in labels:
                used |= self._add(tree_id, label)
        self._used = [(name, _FIGURES[name].words) for name in _FIGURES if name in used]

    def words(self, figures: PromptFigures) -> Words:
        """What the figures become, for every prompt of the same moment."""
        words = {name: words_of(figures) for name, words_of in self._used}
        if self._levels:
            words["reading_level"] = self._levels[figures.learner_level]
        return words

    def fill(self, tree_id: TreeId, label: str, words: Words, because: str) -> str:
        """The prompt, at most `MAX_PROMPT_CHARACTERS` long.

        Args:
            words: of `words`.
            because: the tree's reasons in a sentence of ours; one beyond
                `MAX_BECAUSE_CHARACTERS` ends after a whole reason.
        """
        if len(because) > MAX_BECAUSE_CHARACTERS:
            because = _shortened(because)
        text, chosen = self._texts[tree_id, label]
        filled: str = text % chosen({**words, "because": because})
        return filled

    def _add(self, tree_id: TreeId, label: str) -> set[str]:
        """Compiles one template; the placeholders it has."""
        file = template_file(tree_id, label)
        text = self.set.templates.get(tree_id, {}).get(label)
        if text is None:
            raise InvalidSetting(f"{file}: there is no template for {label}")
        names = _checked(text, file)
        if "reading_level" in names and not self._levels:
            self._levels = self._checked_levels()
        fixed = len(_PLACEHOLDER.sub("", text))
        longest = fixed + sum(self._longest_words(name) for name in names)
        if longest > MAX_PROMPT_CHARACTERS:
            raise InvalidSetting(
                f"{file}: with the longest names the prompt would have {longest:,} characters, "
                f"{MAX_PROMPT_CHARACTERS:,} are allowed: shorten it by "
                f"{longest - MAX_PROMPT_CHARACTERS:,}, or leave out a placeholder"
            )
        self.longest[tree_id, label] = longest
        slots = _PLACEHOLDER.sub("%s", text.replace("%", "%%"))
        # What `%` takes: a tuple, or the one word itself. By name it would take twice as long.
        self._texts[tree_id, label] = slots, itemgetter(*names) if names else lambda _: ()
        return set(names)

    def _longest_words(self, name: str) -> int:
        if name == "because":
            return MAX_BECAUSE_CHARACTERS
        if name == "reading_level":
            return max(map(len, self._levels.values()))
        return _FIGURES[name].longest

    def _checked_levels(self) -> dict[LearnerLevel | None, str]:
        for level in LEVELS:
            text, file = self.set.reading_levels.get(level), level_file(level)
            if text is None:
                raise InvalidSetting(f"{file}: there are no words for the level {level}")
            if _checked(text, file):
                raise InvalidSetting(f"{file}: no placeholders here: write plain text")
        levels = self.set.reading_levels
        return {None: levels["intermediate"], **{level: levels[level] for level in LEVELS}}


def _checked(text: str, file: str) -> list[str]:
    """The names of a text's placeholders, in order."""
    if not text.strip():
        raise InvalidSetting(f"{file}: it is empty: write what the tutor is to do")
    for number, line in enumerate(text.split("\n"), 1):
        for char in line:
            if char == '"':
                raise InvalidSetting(
                    f"{file}, line {number}: a straight double quote marks names from the LMS: "
                    "write ‘…’ or “…” instead"
                )
            if unicodedata.category(char) in _UNSEEN and char not in _JOINERS:
                name = unicodedata.name(char, "a control character")
                raise InvalidSetting(
                    f"{file}, line {number}: U+{ord(char):04X} ({name}) cannot be seen: delete it"
                )
        for brace in _PLACEHOLDER.sub("", line):
            if brace in "{}":
                raise InvalidSetting(f"{file}, line {number}: {brace} belongs to no placeholder")
    names: list[str] = _PLACEHOLDER.findall(text)
    for name in names:
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
            raise InvalidSetting(f"{file}: {{{name}}} is no placeholder; there are {known}")
    return names


_UNSEEN = frozenset(("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"))


def _shortened(because: str) -> str:
    """Up to the end of the last reason that fits whole; reasons end with ``)``."""
    ending = ", and more."
    room = MAX_BECAUSE_CHARACTERS - len(ending)
    end = because.rfind("), ", 0, room + 2)
    return because[: end + 1 if end >= 0 else room] + ending


def plain_set() -> PromptSet:
    """The set that only says why: what there is without templates."""
    templates = {tree_id: dict.fromkeys(labels, "{because}") for tree_id, labels in LABELS.items()}
    return PromptSet(version_of(templates, {}), templates, {})


PLAIN = Prompts(plain_set())
"""Where decisions are judged and none is made, and in tests of single parts."""
