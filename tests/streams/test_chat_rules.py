"""What a message's words tell: the package's own rules by example, matching by hand, its bounds."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import event

from config.chat_rules import load_chat_rules
from schemas.chat_rules import ChatRule, ChatRuleSet, CourseTopic
from schemas.errors import InvalidSetting
from streams.chat_rules import (
    MAX_TEXT_CHARACTERS,
    ChatRules,
    Described,
    Match,
    describe,
    matched,
)
from streams.phrases import Phrases, Word, read

RULES = ChatRules(load_chat_rules())


def own(*rules: ChatRule, topics: Sequence[CourseTopic] = (), **more: tuple[str, ...]) -> ChatRules:
    return ChatRules(ChatRuleSet(language="en", rules=rules, topics=tuple(topics), **more))


def rule(name: str, *said: str, **tells: object) -> ChatRule:
    return ChatRule.model_validate({"name": name, "phrases": said, **tells}, strict=False)


def about(text: str, rules: ChatRules = RULES) -> Described:
    return describe(text, None, None, rules)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("I don't understand why the sign changes", ("confusing",)),
        ("i dont understand", ("confusing",)),
        ("I DON’T UNDERSTAND!!", ("confusing",)),
        ("This is so confusing", ("confusing",)),
        ("I was confused by question 3.", ("confusing",)),
        ("that's cônfusing", ("confusing",)),
        ("What does this mean?", ("confusing",)),
        ("I'm stuck on the last step", ("confusing",)),
        ("it makes no sense and it's too hard", ("confusing", "too_hard")),
        ("Too hard. And unclear.", ("too_hard", "confusing")),
        ("Could you explain that again?", ("needs_revision",)),
        ("too-easy for me", ("too_easy",)),
        ("this is boring", ("too_easy",)),
        ("That's really interesting, thanks!", ("interesting", "thanks")),
        ("Now I get it", ("understood",)),
        ("Which rule do we use in line two?", ()),
        ("The confusion matrix has four cells", ()),
        ("No thanks", ()),
        ("hard to say", ()),
        ("The puzzle was about a shard of glass", ()),
        ("", ()),
    ],
)
def test_flags(text: str, flags: tuple[str, ...]) -> None:
    assert about(text).feedback_flags == flags


@pytest.mark.parametrize(
    "text",
    [
        "I'm not confused",
        "I'm not at all confused",
        "I am no longer confused",
        "it isn't too hard",
        "it was never boring",
        "not confusing or boring",
        "nothing is unclear",
        "I don't find this interesting",
    ],
)
def test_what_is_negated_does_not_hold(text: str) -> None:
    assert about(text).feedback_flags == ()


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("No, I'm confused", ("confusing",)),
        ("Why not? I'm confused", ("confusing",)),
        ("I don't know, I'm not sure, I don't understand", ("confusing",)),
        ("it's not the first one that is too hard", ("too_hard",)),
        ("not only boring", ("too_easy",)),
    ],
)
def test_a_negation_reaches_three_words_and_not_beyond_its_clause(
    text: str, flags: tuple[str, ...]
) -> None:
    assert about(text).feedback_flags == flags


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Can you give me a hint?", True),
        ("why don't you give me a hint", True),
        ("hint please", True),
        ("How do I start?", True),
        ("I don't know where to start", True),
        ("help me please", True),
        ("I don't need a hint", False),
        ("no hints please", False),
        ("Thanks for the hint", False),
        ("I did it without a hint", False),
        ("thanks for your help", False),
    ],
)
def test_hints_asked(text: str, asked: bool) -> None:
    assert about(text).hint_used is asked


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        ("I'm not sure", 0.25),
        ("im not sure about that", 0.25),
        ("I am not very sure.", 0.25),
        ("I'm unsure", 0.25),
        ("no idea", 0.1),
        ("I have no clue how this works", 0.1),
        ("I'm sure", 0.9),
        ("I am absolutely sure it's 4", 0.9),
        ("I'm pretty sure", 0.7),
        ("Thanks, that makes sense now", 0.75),
        # the last word counts
        ("I was sure at first, I'm sure I was, but now I have no idea", 0.1),
        ("No idea... ok wait, I'm sure now", 0.9),
        ("are you sure?", None),
        ("Make sure that x is positive", None),
        ("What is a factor?", None),
    ],
)
def test_confidence(text: str, confidence: float | None) -> None:
    assert about(text).confidence == confidence


def test_of_the_tutors_answer_only_topic_and_tags_are_told() -> None:
    text = "I'm sure you find a hint in the quadratic formula. Are you confused?"
    told = describe(text, None, "algebra", RULES, "system")
    assert told == Described(
        False,
        (),
        ("algebra-m7-t1", "quadratic", "formula"),
        "algebra-m7-t1",
        "algebra-recall",
        "algebra-m7-objective",
        None,
        (),
    )


def test_each_result_names_its_rules_and_the_words_that_matched() -> None:
    text = "I don’t really get it: can you give me a HINT? I'm not sure."
    assert about(text).rules == ("confused", "hint-asked", "unsure")
    assert matched(text, RULES) == (
        Match("confused", "don’t really get"),
        Match("hint-asked", "a HINT"),
        Match("unsure", "not sure"),
    )


def test_another_language_gets_tags_and_nothing_else() -> None:
    told = about("Das ist mir nicht klar, 数学 はむずかしい, ठीक है")
    assert (told.hint_used, told.feedback_flags, told.confidence) == (False, (), None)
    assert set(told.searchable_tags) == {
        "das", "ist", "mir", "nicht", "klar", "数学", "はむずかしい", "ठीक", "है",
    }  # fmt: skip


TOPICS = (
    CourseTopic(
        course_id="c",
        topic_id="roots",
        skill="solving",
        objective="o1",
        keywords=("root*", "square root*", "discriminant"),
    ),
    CourseTopic(
        course_id="c", topic_id="lines", objective="o2", keywords=("slope", "straight line")
    ),
    CourseTopic(course_id="d", topic_id="trees", keywords=("root*",)),
)
COURSE = own(topics=TOPICS)


@pytest.mark.parametrize(
    ("text", "told", "course", "topic"),
    [
        ("the square root and its discriminant", None, "c", ("roots", "solving", "o1")),
        ("roots of the slope", None, "c", (None, None, None)),  # one keyword each
        ("square roots of the slope, and the root", None, "c", ("roots", "solving", "o1")),
        ("a straight line", None, "c", ("lines", None, "o2")),
        ("a straight, line", None, "c", (None, None, None)),
        ("roots", None, "d", ("trees", None, None)),
        ("roots", None, None, (None, None, None)),
        ("roots", "lines", "c", ("lines", None, "o2")),  # what was told stands
        ("roots", "unmapped", "c", ("unmapped", None, None)),
        ("nothing of it", None, "c", (None, None, None)),
    ],
)
def test_the_topic_is_told_or_has_most_keywords(
    text: str, told: str | None, course: str | None, topic: tuple[str | None, ...]
) -> None:
    found = describe(text, told, course, COURSE)
    assert (found.contextual_topic_id, found.related_skill, found.related_objective) == topic


def test_tags_are_topics_then_words_the_most_frequent_longest_first() -> None:
    rules = own(
        rule("hard", "too hard", flags=("too_hard",)), topics=TOPICS, stop_words=("the", "of")
    )
    text = "The slope of the root is too hard: factors, Newton's root, factors! x2 ok"
    # topics by keywords: roots 2, lines 1; words: factors 2, root 2; then by length and letter
    assert describe(text, None, "c", rules).searchable_tags == (
        "roots", "lines", "factors", "root", "newton", "slope",
    )  # fmt: skip


def test_tags_are_few_and_short() -> None:
    words = [f"word{n:03}" for n in range(100)]
    text = " ".join([*words, "x" * 64, "y" * 65])
    tags = about(text).searchable_tags
    assert len(tags) == 32
    assert tags[0] == "x" * 64
    assert list(tags[1:]) == words[:31]


def test_the_longest_phrase_takes_its_words() -> None:
    rules = own(
        rule("not-sure", "not sure", confidence=0.25),
        rule("sure", "sure", "sure thing indeed", confidence=1.0),
        rule("any", "su*", flags=("any",)),
    )
    assert [m.rule for m in matched("not sure. sure thing. surely", rules)] == [
        "not-sure", "sure", "any",
    ]  # fmt: skip
    assert matched("sure thing indeed", rules) == (Match("sure", "sure thing indeed"),)


def test_the_same_phrase_cannot_mean_two_things() -> None:
    with pytest.raises(InvalidSetting, match=r"'Dont know' stands in a and in b"):
        own(rule("a", "don't know"), rule("b", "Dont know"))
    with pytest.raises(InvalidSetting, match="stands in a and in negations"):
        own(rule("a", "don't know"), negations=("dont know",))
    twice = CourseTopic(course_id="c", topic_id="other", keywords=("Slope",))
    with pytest.raises(InvalidSetting, match="stands in lines and in other"):
        own(topics=(*TOPICS, twice))


PIECES = st.one_of(
    st.sampled_from([phrase for r in RULES.set.rules for phrase in r.phrases]),
    st.sampled_from(["not", "or", "I'm", ",", ".", "\n", "confus", "don’t", "ﷺ", "e\u0301", "क्या"]),
    st.text(max_size=12),
)
TEXTS = st.lists(PIECES, max_size=60).map(" ".join)


@settings(deadline=None, max_examples=200)
@given(TEXTS)
def test_whatever_is_written_the_message_is_valid(text: str) -> None:
    told = describe(text, None, "algebra", RULES)
    attributes = {name: value for name, value in told._asdict().items() if name != "rules"}
    event("chat.message", session_id="s", message_direction="user", message_text="", **attributes)
    assert len(set(told.searchable_tags)) == len(told.searchable_tags) <= 32
    assert all(0 < len(tag) <= 64 and tag.isprintable() for tag in told.searchable_tags)
    assert told == describe(text, None, "algebra", RULES)
    assert {m.rule for m in matched(text, RULES)} == set(told.rules)


@settings(deadline=None, max_examples=100)
@given(TEXTS)
def test_case_and_the_way_accents_are_written_do_not_matter(text: str) -> None:
    if text.isascii():
        assert about(text.upper()) == about(text.lower())
    decomposed = about(unicodedata.normalize("NFD", text))
    assert decomposed == about(unicodedata.normalize("NFC", text))


def looked_at(text: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many words are looked at, over all phrases that are tried, to describe a text."""
    count = 0
    longest = Phrases.longest

    def counted(self: Phrases, words: Sequence[Word], at: int) -> tuple[int, object]:
        nonlocal count
        count += 1
        return longest(self, words, at)

    with monkeypatch.context() as patched:
        patched.setattr(Phrases, "longest", counted)
        describe(text, None, "algebra", RULES)
    return count


HARD = (
    "a",
    "not",
    "no idea how to",
    "i don't really",
    "what is the next",
    "do you can you please help",
    "I am " * 3,
    "quadratic equation of the",
)
"""Pieces of phrases that never become whole ones, over and over."""


@pytest.mark.parametrize("piece", HARD)
def test_twice_the_text_is_twice_the_work(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    times = MAX_TEXT_CHARACTERS // (len(piece) + 1)
    once = looked_at(f"{piece} " * (times // 2), monkeypatch)
    twice = looked_at(f"{piece} " * (times // 2 * 2), monkeypatch)
    assert twice <= 2 * once + 20
    # Each word is the beginning of at most a few phrases, each of a few words.
    assert twice <= 20 * len(read(f"{piece} " * times))


def test_no_more_than_a_messages_length_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = "a " * (MAX_TEXT_CHARACTERS // 2)
    assert looked_at(whole * 50, monkeypatch) == looked_at(whole, monkeypatch)
