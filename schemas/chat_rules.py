"""What a chat message's words tell: phrases and topics, written by people (``chat_rules.json``).

A phrase is one to eight words in lower or upper case, with or without accents. A ``*`` at the end
of a word stands for any ending: ``confus*`` is "confused" and "confusing". There are no other
signs, so no phrase is slow on any text. How they are matched: ``streams.chat_rules``.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from schemas.fields import Identifier, UnitScore

MAX_PHRASE_WORDS = 8
MAX_TAG_CHARACTERS = 64

_WORD = r"[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}\p{N}]+)*"
_PHRASE = rf"^{_WORD}\*?(?: {_WORD}\*?){{0,{MAX_PHRASE_WORDS - 1}}}$"

Word = Annotated[str, StringConstraints(pattern=f"^{_WORD}$", max_length=64)]
Phrase = Annotated[str, StringConstraints(pattern=_PHRASE, max_length=120)]
RuleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
Flag = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class _Contract(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ChatRule(_Contract):
    """What it means that a learner writes one of the phrases.

    ``flags`` become ``feedback_flags``, ``hint_used`` that a hint was asked for, ``confidence``
    (0–1) how sure of the topic the learner sounds. A rule with none of them only takes its phrases
    from the others: "confusion matrix" is not confusion.
    """

    name: RuleName
    phrases: Annotated[tuple[Phrase, ...], Field(min_length=1, max_length=200)]
    flags: Annotated[tuple[Flag, ...], Field(max_length=8)] = ()
    hint_used: bool = False
    confidence: UnitScore | None = None


class CourseTopic(_Contract):
    """A topic of a course: what it trains, and the words by which a message is about it."""

    course_id: Identifier
    topic_id: Identifier
    skill: Identifier | None = None
    objective: Identifier | None = None
    keywords: Annotated[tuple[Phrase, ...], Field(max_length=64)] = ()


class ChatRuleSet(_Contract):
    """All rules for messages in one language, and the vocabulary of the courses.

    ``negations``: a phrase that follows one closely does not hold. ``stop_words`` are never tags.
    """

    language: Literal["en"]
    rules: Annotated[tuple[ChatRule, ...], Field(max_length=200)] = ()
    negations: Annotated[tuple[Phrase, ...], Field(max_length=100)] = ()
    stop_words: Annotated[tuple[Word, ...], Field(max_length=1000)] = ()
    topics: Annotated[tuple[CourseTopic, ...], Field(max_length=5000)] = ()

    @model_validator(mode="after")
    def _each_stands_once(self) -> ChatRuleSet:
        rules = Counter(rule.name for rule in self.rules)
        topics = Counter(f"{topic.topic_id} of {topic.course_id}" for topic in self.topics)
        for kind, found in (("rule", rules), ("topic", topics)):
            for name, times in found.most_common(1):
                if times > 1:
                    raise ValueError(f"{kind} {name} stands there {times} times")
        return self
