"""What a chat message tells by its words: hints asked, flags, confidence, topic, search tags.

Rules are phrases written by people (`schemas.chat_rules`), for English: a text in another language
gets tags and nothing else. From left to right, at each place the longest phrase holds and its
words are taken, so "not sure" is never "sure"; none reaches over the end of a clause. A phrase
that begins within `NEGATION_REACH` words after a negation does not hold: "I'm not at all confused".

Time is linear in the text, of which the first `MAX_TEXT_CHARACTERS` are read.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import nsmallest
from typing import NamedTuple

from schemas.chat_rules import MAX_TAG_CHARACTERS, ChatRule, ChatRuleSet, CourseTopic
from schemas.errors import InvalidSetting
from schemas.fields import MessageDirection
from streams.phrases import Phrases, Word, key_of, read

MAX_TEXT_CHARACTERS = 8000
MAX_TAGS = 32
NEGATION_REACH = 3
MIN_TAG_LETTERS = 3
"""Of a word in ASCII; in other scripts two signs are a word."""

_ALTERNATIVES = frozenset(("or", "nor"))
_NEGATION = "negation"


class Match(NamedTuple):
    """A rule that holds for a text, and the words of the text by which it does."""

    rule: str
    words: str


class Described(NamedTuple):
    """Attributes of a chat message, named as in ``ChatMessage``, and the ``rules`` that held."""

    hint_used: bool
    feedback_flags: tuple[str, ...]
    searchable_tags: tuple[str, ...]
    contextual_topic_id: str | None
    related_skill: str | None
    related_objective: str | None
    confidence: float | None
    rules: tuple[str, ...]


class ChatRules:
    """A rule set, ready to describe with.

    Raises:
        InvalidSetting: a phrase stands in two rules or a keyword at two topics of a course, so
            that nobody knows what it means.
    """

    def __init__(self, rule_set: ChatRuleSet) -> None:
        self.set = rule_set
        self.phrases = Phrases()
        for rule in rule_set.rules:
            for phrase in rule.phrases:
                before = self.phrases.add(phrase, rule)
                if isinstance(before, ChatRule) and before is not rule:
                    _stands_twice(phrase, before.name, rule.name)
        for phrase in rule_set.negations:
            before = self.phrases.add(phrase, _NEGATION)
            if isinstance(before, ChatRule):
                _stands_twice(phrase, before.name, "negations")
        self.stop_words = frozenset(map(key_of, rule_set.stop_words))
        self.topics = {(topic.course_id, topic.topic_id): topic for topic in rule_set.topics}
        self.keywords: dict[str, Phrases] = {}
        for topic in rule_set.topics:
            keywords = self.keywords.setdefault(topic.course_id, Phrases())
            for keyword in topic.keywords:
                before = keywords.add(keyword, topic)
                if isinstance(before, CourseTopic) and before is not topic:
                    _stands_twice(keyword, before.topic_id, topic.topic_id)


def describe(
    text: str,
    topic_id: str | None,
    course_id: str | None,
    rules: ChatRules,
    direction: MessageDirection = "user",
) -> Described:
    """What a message's words tell.

    - ``hint_used``, ``feedback_flags``: of the rules that hold, flags in order of appearance;
      ``confidence``: that of the last rule with one, since who thinks aloud ends with the
      conclusion. A ``system`` message tells none of these: it is not the learner who speaks.
    - ``contextual_topic_id``: ``topic_id`` if it was told, else the topic of the course with most
      keywords in the text; ``None`` if two have as many. ``related_skill`` and
      ``related_objective`` are that topic's, as far as the vocabulary knows it.
    - ``searchable_tags``, at most 32 of at most 64 characters: topics of the course by keywords
      found, then words that are no stop words and no part of a rule's phrase, the most frequent
      first, of these the longest, then by the alphabet.
    """
    words = read(text[:MAX_TEXT_CHARACTERS])
    held, taken = _held(words, rules)
    mine = [rule for rule, _, _ in held] if direction == "user" else []
    told = [rule.confidence for rule in mine if rule.confidence is not None]
    found = _topics(words, rules, course_id)
    if topic_id is None and found and (len(found) == 1 or found[0][1] > found[1][1]):
        topic_id = found[0][0]
    topic = rules.topics.get((course_id or "", topic_id or ""))
    return Described(
        hint_used=any(rule.hint_used for rule in mine),
        feedback_flags=_unique([flag for rule in mine for flag in rule.flags])[:MAX_TAGS],
        searchable_tags=_tags([name for name, _ in found], words, taken, rules),
        contextual_topic_id=topic_id,
        related_skill=topic.skill if topic else None,
        related_objective=topic.objective if topic else None,
        confidence=told[-1] if told else None,
        rules=_unique([rule.name for rule in mine]),
    )


def matched(text: str, rules: ChatRules) -> tuple[Match, ...]:
    """The rules that hold for a learner's text, in order of appearance, each with its words."""
    words = read(text[:MAX_TEXT_CHARACTERS])
    held, _ = _held(words, rules)
    return tuple(
        [
            Match(rule.name, " ".join([word.shown for word in words[start:end]]))
            for rule, start, end in held
        ]
    )


def _held(words: list[Word], rules: ChatRules) -> tuple[list[tuple[ChatRule, int, int]], set[int]]:
    """The rules that hold, with the places of their first word and after their last; the places of
    all words that are part of a phrase, held or negated."""
    held: list[tuple[ChatRule, int, int]] = []
    taken: set[int] = set()
    at = negated_until = 0
    while at < len(words):
        if not words[at].key:
            negated_until = 0
        end, meaning = rules.phrases.longest(words, at)
        if meaning is None:
            at += 1
            continue
        taken.update(range(at, end))
        if isinstance(meaning, ChatRule) and at >= negated_until:
            held.append((meaning, at, end))
        elif meaning == _NEGATION or _goes_on(words, end):
            negated_until = end + NEGATION_REACH
        at = end
    return held, taken


def _goes_on(words: list[Word], end: int) -> bool:
    """Whether what is negated has an alternative: "not confused or bored"."""
    return end < len(words) and words[end].key in _ALTERNATIVES


def _topics(words: list[Word], rules: ChatRules, course_id: str | None) -> list[tuple[str, int]]:
    """The course's topics whose keywords are in the text, and how many; most first, then by id."""
    keywords = rules.keywords.get(course_id or "")
    if keywords is None:
        return []
    found: Counter[str] = Counter()
    at = 0
    while at < len(words):
        end, meaning = keywords.longest(words, at)
        if isinstance(meaning, CourseTopic):
            found[meaning.topic_id] += 1
        at = max(end, at + 1)
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def _tags(
    topics: list[str], words: list[Word], taken: set[int], rules: ChatRules
) -> tuple[str, ...]:
    counts = Counter(_telling(words, taken, rules))
    chosen = nsmallest(MAX_TAGS, counts.items(), key=lambda item: (-item[1], -len(item[0]), item))
    tags = (*topics, *[word for word, _ in chosen])
    return _unique([tag for tag in tags if len(tag) <= MAX_TAG_CHARACTERS])[:MAX_TAGS]


def _telling(words: list[Word], taken: set[int], rules: ChatRules) -> Iterator[str]:
    for place, word in enumerate(words):
        if not word.key or place in taken or word.key in rules.stop_words:
            continue
        tag = unicodedata.normalize("NFC", word.shown.casefold()).replace("’", "'")
        tag = tag.removesuffix("'s")
        if MAX_TAG_CHARACTERS >= len(tag) >= (MIN_TAG_LETTERS if tag.isascii() else 2):
            yield tag


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _stands_twice(phrase: str, here: str, there: str) -> None:
    raise InvalidSetting(f"chat rules: {phrase!r} stands in {here} and in {there}: leave it in one")
