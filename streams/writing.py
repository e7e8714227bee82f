"""How a learner writes: counts of a text, the metrics from their sums, and a style from those.

English word lists; a text in another language counts in sentences, words and variety, and has no
pronouns and contractions. Time is linear in the text, which is at most 8,000 characters.
"""

from __future__ import annotations

import re

from schemas.fields import WritingStyle
from schemas.profile import WritingMetrics, WritingTotals

SEGMENT_WORDS = 50
MIN_STYLE_WORDS = 30
NARRATIVE_THIRD_PERSON = 0.06
INVOLVED_PRONOUNS = 0.08
INVOLVED_CONTRACTIONS = 0.01
CONCISE_SENTENCE_WORDS = 8.0

# A letter, or a sign that stands in the middle of an Indic or accented word and is no letter.
_LETTER = "(?:[^\\W\\d_]|[\u0300-\u036f\u0900-\u0963\u0966-\u0dff\u200c\u200d])"
# One pass over words and marks: a search for "mark before a space" alone is quadratic in "....".
_TOKEN = re.compile(f"({_LETTER}+(?:['’]{_LETTER}+)*)|[.!?…]+|[。！？।\n]")
_ALWAYS_ENDS = frozenset("。！？।\n")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FIRST_OR_SECOND_PERSON = _words(
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves"
)
_THIRD_PERSON = _words(
    "he him his himself she her hers herself they them their theirs themself themselves"
)
_CONTRACTED = _words("ll ve re m d")
# After these, 's is "is", "has" or "us"; after any other word it is taken for a possessive.
_BEFORE_S = _words(
    "it he she that this there here what where who how when why let everything something"
)


def measure(text: str) -> WritingTotals:
    """Counts of one text; all zero, ``texts`` too, if it has no word.

    A word is a run of letters, inner apostrophes included. A sentence ends at ``.!?…`` before a
    space or the end, at ``。！？।``, or at a line's end, and has a word. ``distinct_words`` is
    counted anew in each segment of 50 words, without case.
    """
    words = distinct = sentences = pronouns = third_person = contractions = 0
    segment: set[str] = set()
    in_sentence = False
    length = len(text)
    for token in _TOKEN.finditer(text):
        word = token[1]
        if word is None:
            end = token.end()
            if in_sentence and (end == length or text[end].isspace() or token[0] in _ALWAYS_ENDS):
                sentences += 1
                in_sentence = False
            continue
        in_sentence = True
        words += 1
        word = word.lower().replace("’", "'")
        segment.add(word)
        if words % SEGMENT_WORDS == 0:
            distinct += len(segment)
            segment.clear()
        stem, _, ending = word.partition("'")
        if ending and (
            ending in _CONTRACTED
            or (ending == "t" and stem.endswith("n"))
            or (ending == "s" and stem in _BEFORE_S)
        ):
            contractions += 1
        if stem in _THIRD_PERSON:
            pronouns += 1
            third_person += 1
        elif stem in _FIRST_OR_SECOND_PERSON:
            pronouns += 1
    return WritingTotals(
        texts=1 if words else 0,
        sentences=sentences + in_sentence,
        words=words,
        distinct_words=distinct + len(segment),
        pronouns=pronouns,
        third_person_pronouns=third_person,
        contractions=contractions,
    )


def add(a: WritingTotals, b: WritingTotals) -> WritingTotals:
    """Sum by sum, so in any order."""
    return WritingTotals(
        a.texts + b.texts,
        a.sentences + b.sentences,
        a.words + b.words,
        a.distinct_words + b.distinct_words,
        a.pronouns + b.pronouns,
        a.third_person_pronouns + b.third_person_pronouns,
        a.contractions + b.contractions,
    )


def metrics(totals: WritingTotals) -> WritingMetrics:
    """The source's ``writing_metrics``; all zero before the first word.

    - ``avg_sentence_length`` = words / sentences
    - ``type_token_ratio`` = Σ distinct words of a segment / Σ its words: the mean segmental
      type-token ratio (Johnson 1944), segments of 50 words within a text, a shorter last one
      weighing by its words. A ratio over whole texts would fall with their length.
    - ``pronoun_usage`` = personal pronouns / words, "I'm" included (as LIWC's category ppron:
      Pennebaker et al. 2015)
    - ``contractions_count`` = n't, 'll, 've, 're, 'm, 'd, and 's after a pronoun or the like
    """
    words = totals.words
    if not words:
        return WritingMetrics()
    return WritingMetrics(
        avg_sentence_length=words / totals.sentences,
        type_token_ratio=totals.distinct_words / words,
        pronoun_usage=totals.pronouns / words,
        contractions_count=totals.contractions,
    )


def style(metrics: WritingMetrics, totals: WritingTotals) -> WritingStyle:
    """The source's ``writing_style_category``: the first of these that holds.

    1. ``unknown``: fewer than 30 words
    2. ``narrative``: third-person pronouns ≥ 6% of the words and more than half of the pronouns
    3. ``conversational``: pronouns ≥ 8% or contractions ≥ 1% of the words
    4. ``concise``: sentences of fewer than 8 words on average
    5. ``formal-analytical``

    Third-person pronouns mark narrative texts, first and second person and contractions involved
    ones (Biber 1988, dimensions 2 and 1). The thresholds are ours.
    """
    words = totals.words
    if words < MIN_STYLE_WORDS:
        return "unknown"
    third = totals.third_person_pronouns
    if third >= NARRATIVE_THIRD_PERSON * words and 2 * third > totals.pronouns:
        return "narrative"
    if (
        metrics.pronoun_usage >= INVOLVED_PRONOUNS
        or totals.contractions >= INVOLVED_CONTRACTIONS * words
    ):
        return "conversational"
    if metrics.avg_sentence_length < CONCISE_SENTENCE_WORDS:
        return "concise"
    return "formal-analytical"
