"""Worked examples of `streams.writing`: every count is written out by hand."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from strategies import texts

from schemas.profile import WritingMetrics, WritingTotals
from streams.writing import add, measure, metrics, style


def test_counts_of_a_text() -> None:
    totals = measure("I don't get it. They said it's easy! Is version 2.5 Bob's?\nNo idea")
    # I don't get it | They said it's easy | Is version Bob's | No idea
    assert totals == WritingTotals(
        texts=1,
        sentences=4,
        words=13,
        distinct_words=13,
        pronouns=2,
        third_person_pronouns=1,
        contractions=2,
    )


@pytest.mark.parametrize(
    ("text", "sentences", "words", "contractions"),
    [
        ("", 0, 0, 0),
        ("... 42 ?!", 0, 0, 0),
        ("Wait... what?", 2, 2, 0),
        ("We’ve done it", 1, 3, 1),
        ("let's see the students' and Ann's work", 1, 7, 1),
        ("rock 'n' roll isn't 'quoted'", 1, 5, 1),
        ("नमस्ते दुनिया। कैसे हो", 2, 4, 0),
        ("Straße? naïve café!", 2, 3, 0),
    ],
)
def test_where_words_and_sentences_end(
    text: str, sentences: int, words: int, contractions: int
) -> None:
    totals = measure(text)
    assert (totals.sentences, totals.words, totals.contractions) == (sentences, words, contractions)
    assert totals.texts == (words > 0)


def test_variety_is_counted_by_segments_of_fifty_words() -> None:
    totals = measure("a b " * 60)  # 120 words: two full segments of 50 and one of 20
    assert (totals.words, totals.distinct_words) == (120, 6)


def test_metrics_from_sums() -> None:
    totals = WritingTotals(
        texts=2, sentences=4, words=50, distinct_words=35, pronouns=6, contractions=3
    )
    assert metrics(totals) == WritingMetrics(
        avg_sentence_length=12.5, type_token_ratio=0.7, pronoun_usage=0.12, contractions_count=3
    )
    assert metrics(WritingTotals()) == WritingMetrics()


@pytest.mark.parametrize(
    ("totals", "expected"),
    [
        (WritingTotals(words=29, sentences=2), "unknown"),
        (
            WritingTotals(words=100, sentences=5, pronouns=11, third_person_pronouns=6),
            "narrative",
        ),
        (
            WritingTotals(words=100, sentences=5, pronouns=12, third_person_pronouns=6),
            "conversational",
        ),
        (WritingTotals(words=100, sentences=5, pronouns=8), "conversational"),
        (WritingTotals(words=100, sentences=5, pronouns=7), "formal-analytical"),
        (WritingTotals(words=100, sentences=5, contractions=1), "conversational"),
        (WritingTotals(words=100, sentences=13), "concise"),  # 7.7 words a sentence
        (WritingTotals(words=104, sentences=13), "formal-analytical"),  # 8 words
    ],
)
def test_style_at_its_thresholds(totals: WritingTotals, expected: str) -> None:
    assert style(metrics(totals), totals) == expected


@given(texts, texts)
def test_totals_of_any_texts_add_up_and_give_valid_metrics(one: str, other: str) -> None:
    a, b = measure(one), measure(other)
    assert add(a, b) == add(b, a)
    both = metrics(add(a, b))
    assert 0 <= both.type_token_ratio <= 1
    assert 0 <= both.pronoun_usage <= 1
    assert a.sentences <= a.words
    assert (a.sentences == 0) == (a.words == 0)


@pytest.mark.parametrize("text", ["." * 7999 + "x", "a'" * 4000, "a. " * 2666, "'" * 8000])
def test_the_longest_texts_take_milliseconds(text: str) -> None:
    def seconds() -> float:
        started = process_time()
        measure(text)
        return process_time() - started

    assert min(seconds() for _ in range(3)) < 0.05
