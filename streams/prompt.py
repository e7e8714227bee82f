"""The prompt for the tutor: a template of the set, filled with the learner's figures.

A template is plain text with placeholders in braces; `PLACEHOLDERS` says which there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import NamedTuple

import orjson

from schemas.errors import InvalidSetting
from schemas.fields import LABELS, TreeId
from schemas.prompt import PromptFigures, PromptSet

MAX_PROMPT_CHARACTERS = 2_000
MAX_ID_CHARACTERS = 60

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_NOT_PLAIN = re.compile(r"[^\w .,:;/+()-]|\s{2,}")


def quoted(text: str) -> str:
    """A name from outside as one quoted word: other signs become ``_``, long ones are cut."""
    return f'"{_NOT_PLAIN.sub("_", text[:MAX_ID_CHARACTERS])}"'


class _Said(NamedTuple):
    figures: PromptFigures
    because: str
    reading_levels: Mapping[str, str]


def _per_cent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"


PLACEHOLDERS: dict[str, Callable[[_Said], str]] = {
    "because": lambda s: s.because,
    "course": lambda s: quoted(s.figures.course_id) if s.figures.course_id else "no course",
    "topic": lambda s: (
        quoted(s.figures.topic_id) if s.figures.topic_id else "no topic in particular"
    ),
    "weakest_topics": lambda s: (
        ", ".join(f"{quoted(t.topic_id)} {t.percentage:.0f}%" for t in s.figures.weakest_topics)
        or "none known yet"
    ),
    "redo_topics": lambda s: ", ".join(map(quoted, s.figures.redo_topics)) or "none",
    "confidence": lambda s: _per_cent(s.figures.confidence),
    "performance": lambda s: _per_cent(s.figures.performance),
    "best_format": lambda s: s.figures.best_format or "any",
    "writing_style": lambda s: s.figures.writing_style,
    "reading_level": lambda s: s.reading_levels[s.figures.learner_level or "intermediate"],
}
"""What each placeholder becomes."""


class Prompts:
    """A set of templates, ready to be filled.

    Raises:
        InvalidSetting: a label has no template, or a template an unknown placeholder.
    """

    def __init__(self, templates: PromptSet) -> None:
        self.set = templates
        self.version = templates.version
        self._parts: dict[tuple[TreeId, str], tuple[str, tuple[str, ...]]] = {}
        for tree_id, labels in LABELS.items():
            for label in labels:
                text = templates.templates.get(tree_id, {}).get(label)
                if text is None:
                    raise InvalidSetting(f"no prompt for {label} of {tree_id}")
                self._parts[tree_id, label] = _parse(text, label)

    def fill(self, tree_id: TreeId, label: str, figures: PromptFigures, because: str) -> str:
        """The prompt, at most `MAX_PROMPT_CHARACTERS` long.

        Args:
            because: the tree's reasons in a sentence of ours.
        """
        text, names = self._parts[tree_id, label]
        said = _Said(figures, because, self.set.reading_levels)
        filled = text % tuple([PLACEHOLDERS[name](said) for name in names])
        return filled[:MAX_PROMPT_CHARACTERS]


def plain_set() -> PromptSet:
    """The set that only says why: what there is without templates."""
    templates = {tree_id: dict.fromkeys(labels, "{because}") for tree_id, labels in LABELS.items()}
    return PromptSet(version_of(templates, {}), templates, {})


def version_of(templates: Mapping[TreeId, Mapping[str, str]], levels: Mapping[str, str]) -> str:
    """``PromptSet.version``: the first 12 hex digits of the SHA-256 of all texts."""
    told = orjson.dumps([templates, levels], option=orjson.OPT_SORT_KEYS)
    return sha256(told).hexdigest()[:12]


def _parse(text: str, label: str) -> tuple[str, tuple[str, ...]]:
    names = tuple(_PLACEHOLDER.findall(text))
    for name in names:
        if name not in PLACEHOLDERS:
            known = ", ".join(PLACEHOLDERS)
            raise InvalidSetting(f"the prompt for {label} has {{{name}}}: there is only {known}")
    return _PLACEHOLDER.sub("%s", text.replace("%", "%%")), names


PLAIN = Prompts(plain_set())
"""Used where nobody has given templates: replay of single parts, tests."""
