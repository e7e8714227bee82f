"""A prompt is what its template and the figures say, never longer, and names stay names."""

from __future__ import annotations

import re
from typing import Any

import pytest
from generated.figures import HOSTILE_NAMES, prompt_figures
from generated.trees import feature_values, tree_documents
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.errors import InvalidSetting
from schemas.feature import FEATURES
from schemas.fields import LABELS, TREE_IDS, TreeId
from schemas.prompt import PromptFigures, PromptSet, TopicFigure, version_of
from schemas.tree import TreeDocument
from streams.prompt import (
    MAX_BECAUSE_CHARACTERS,
    MAX_PROMPT_CHARACTERS,
    PLACEHOLDERS,
    PLAIN,
    Prompts,
    plain_set,
)
from streams.scoring import compile_tree, score

TREE: TreeId = "primary_classification"
LABEL = "Fast Tracker"
LEVELS = {"basic": "Short words.", "intermediate": "Plain words.", "advanced": "Any words."}
EVERYTHING = "\n".join(f"{name}: {{{name}}}." for name in PLACEHOLDERS)
FIGURES = PromptFigures(
    course_id="algebra",
    topic_id="roots",
    learner_level="advanced",
    weakest_topics=(TopicFigure("powers", 12.4), TopicFigure("roots", 80.6)),
    redo_topics=("powers", "signs"),
    confidence=0.8,
    performance=0.45,
    best_format="video",
    writing_style="conversational",
)
UNKNOWN = PromptFigures("", "", None, (), (), None, None, None, "unknown")


def set_of(template: str, levels: dict[str, str] = LEVELS) -> PromptSet:
    """Every label with the same template."""
    templates = {tree_id: dict.fromkeys(labels, template) for tree_id, labels in LABELS.items()}
    return PromptSet(version_of(templates, levels), templates, levels)


def filled(template: str, figures: PromptFigures, because: str = "So it is.") -> str:
    prompts = Prompts(set_of(template))
    return prompts.fill(TREE, LABEL, prompts.words(figures), because)


KNOWN = {
    "because": "So it is.",
    "reading_level": "Any words.",
    "course": '"algebra"',
    "topic": '"roots"',
    "weakest_topics": '"powers" 12%, "roots" 81%',
    "redo_topics": '"powers", "signs"',
    "confidence": "80%",
    "performance": "45%",
    "confidence_gap": "35 points above the results",
    "best_format": "video",
    "writing_style": "conversational",
}
NOTHING_KNOWN = {
    "because": "So it is.",
    "reading_level": "Plain words.",
    "course": "no course",
    "topic": "no topic in particular",
    "weakest_topics": "not known yet",
    "redo_topics": "none",
    "confidence": "not known yet",
    "performance": "not known yet",
    "confidence_gap": "not known yet",
    "best_format": "any format",
    "writing_style": "not known yet",
}


@pytest.mark.parametrize(("figures", "words"), [(FIGURES, KNOWN), (UNKNOWN, NOTHING_KNOWN)])
def test_every_placeholder_by_hand(figures: PromptFigures, words: dict[str, str]) -> None:
    assert set(words) == set(PLACEHOLDERS)
    for name, expected in words.items():
        assert filled(f"Say {{{name}}}, 100% {{{name}}}!", figures) == (
            f"Say {expected}, 100% {expected}!"
        )


@pytest.mark.parametrize(
    ("confidence", "performance", "words"),
    [
        (0.5, 0.5, "in line with the results"),
        (0.59, 0.5, "in line with the results"),
        (0.6, 0.5, "10 points above the results"),
        (0.25, 0.75, "50 points below the results"),
        (1.0, 0.0, "100 points above the results"),
        (None, 0.5, "not known yet"),
        (0.5, None, "not known yet"),
    ],
)
def test_confidence_against_performance(
    confidence: float | None, performance: float | None, words: str
) -> None:
    figures = replace(FIGURES, confidence=confidence, performance=performance)
    assert filled("{confidence_gap}", figures) == words


def test_levels_are_not_needed_where_no_template_names_them() -> None:
    assert PLAIN.fill(TREE, LABEL, PLAIN.words(FIGURES), "So it is.") == "So it is."
    assert plain_set().reading_levels == {}


@settings(deadline=None)
@given(prompt_figures(), st.text(st.characters(exclude_characters='"'), max_size=2_000))
@example(replace(FIGURES, learner_level=None), "x" * 5_000)
@example(
    replace(
        FIGURES,
        course_id="x" * 255,
        topic_id="x" * 255,
        weakest_topics=(TopicFigure("x" * 255, 100.0),) * 3,
        redo_topics=("x" * 255,) * 3,
        confidence=1.0,
        performance=0.0,
        writing_style="formal-analytical",
    ),
    "x" * 600,
)
def test_no_prompt_is_longer_than_was_said_when_the_set_was_loaded(
    figures: PromptFigures, because: str
) -> None:
    prompts = Prompts(set_of(EVERYTHING))
    prompt = prompts.fill(TREE, LABEL, prompts.words(figures), because)
    assert len(prompt) <= prompts.longest[TREE, LABEL] <= MAX_PROMPT_CHARACTERS
    assert prompt.endswith(".")
    for name in PLACEHOLDERS:
        assert f"{name}: " in prompt


def test_the_longest_is_not_said_longer_than_it_is() -> None:
    figures = replace(
        FIGURES,
        course_id="x" * 61,
        topic_id="x" * 61,
        weakest_topics=(TopicFigure("x" * 61, 100.0),) * 3,
        redo_topics=("x" * 61,) * 3,
        confidence=None,
        performance=None,
        best_format=None,
        writing_style="formal-analytical",
    )
    prompts = Prompts(set_of(EVERYTHING))
    found = len(prompts.fill(TREE, LABEL, prompts.words(figures), "x" * MAX_BECAUSE_CHARACTERS))
    # The gap of the unknown is shorter than its longest words; each list has one comma less.
    apart = len("100 points above the results") - len("not known yet") + 2 * len(", ")
    level = max(map(len, LEVELS.values())) - len(LEVELS["advanced"])
    assert found == prompts.longest[TREE, LABEL] - apart - level


def skeleton(prompt: str) -> str:
    """Everything that does not stand between double quotes."""
    return re.sub(r'"[^"\n]*"', "NAME", prompt)


@settings(deadline=None)
@given(prompt_figures())
def test_what_stands_outside_the_quotes_does_not_depend_on_names(figures: PromptFigures) -> None:
    harmless = replace(
        figures,
        course_id=figures.course_id and "a",
        topic_id=figures.topic_id and "a",
        weakest_topics=tuple(TopicFigure("a", t.percentage) for t in figures.weakest_topics),
        redo_topics=("a",) * len(figures.redo_topics),
    )
    hostile = filled(EVERYTHING, figures)
    assert hostile.count('"') % 2 == 0
    assert skeleton(hostile) == skeleton(filled(EVERYTHING, harmless))


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_stay_between_their_quotes(name: str) -> None:
    figures = replace(FIGURES, topic_id=name, redo_topics=(name, name))
    prompt = filled("Topic {topic} now.\nRedo {redo_topics}.", figures)
    assert re.fullmatch(r'Topic "[^"\n]+" now\.\nRedo "[^"\n]+", "[^"\n]+"\.', prompt)
    assert not set(prompt) & set("{}%<>`[]#\\“”")


@settings(deadline=None, max_examples=60)
@given(tree_documents(max_branches=30), feature_values())
def test_reasons_hold_no_quote_and_end_whole(
    document: TreeDocument, values: tuple[float, ...]
) -> None:
    result = score(compile_tree(document), values)
    because = result.sentence(values)
    assert '"' not in because
    assert "\n" not in because
    said = PLAIN.fill(document.tree_id, result.label, {}, because)
    assert len(said) <= MAX_BECAUSE_CHARACTERS
    if said != because:
        kept = said.removesuffix(", and more.")
        assert kept != said
        assert because.startswith(f"{kept}, ")
        assert kept.endswith(")")


def test_a_long_reason_ends_after_a_whole_one() -> None:
    reasons = [f"figure {n} {n}.00 (at most {n})" for n in range(60)]
    because = f"It is so: {', '.join(reasons)}."
    said = PLAIN.fill(TREE, LABEL, {}, because)
    assert MAX_BECAUSE_CHARACTERS - 40 < len(said) <= MAX_BECAUSE_CHARACTERS
    assert said.endswith("), and more.")
    exact = "x" * MAX_BECAUSE_CHARACTERS
    assert PLAIN.fill(TREE, LABEL, {}, exact) == exact


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("", "is empty"),
        (" \n ", "is empty"),
        ("Go {faster}.", "{faster} is no placeholder; there are {because}"),
        ("Go {}.", "{} is no placeholder"),
        ("Go {0}.", "{0} is no placeholder"),
        ("Go {topic!r}.", "{topic!r} is no placeholder"),
        ("Go {topic.__class__}.", "is no placeholder"),
        ("Go\n{topic", "line 2: { belongs to no placeholder"),
        ("Go topic}", "line 1: } belongs to no placeholder"),
        ("Go {{topic}}", "line 1: { belongs to no placeholder"),
        ('Say "well done".', "line 1: a straight double quote"),
        ("Go\x07", "U+0007"),
        ("Go\tthere", "U+0009"),
        ("Go\rthere", "U+000D"),
        ("One\nGo \u202ethere", "line 2: U+202E (RIGHT-TO-LEFT OVERRIDE)"),
        ("Go\u200b", "U+200B (ZERO WIDTH SPACE)"),
        ("Go\u2028", "U+2028"),
        ("Go\ufeff", "U+FEFF"),
        ("x" * (MAX_PROMPT_CHARACTERS + 1), "2,401 characters, 2,400 are allowed: shorten it by 1"),
        ("{weakest_topics}" * 20, "or leave out a placeholder"),
    ],
)
def test_a_template_that_cannot_be_used_says_where_and_why(template: str, words: str) -> None:
    templates = plain_set().templates
    templates = {**templates, TREE: {**templates[TREE], LABEL: template}}
    with pytest.raises(InvalidSetting) as raised:
        Prompts(PromptSet(version_of(templates, {}), templates, {}))
    assert str(raised.value).startswith("primary_classification/fast-tracker.txt")
    assert words in str(raised.value)


@pytest.mark.parametrize("tree_id", TREE_IDS)
def test_a_missing_template_is_named(tree_id: Any) -> None:
    templates = {name: dict(texts) for name, texts in plain_set().templates.items()}
    missing = LABELS[tree_id][-1]
    del templates[tree_id][missing]
    with pytest.raises(InvalidSetting, match=f"there is no template for {missing}"):
        Prompts(PromptSet("0" * 12, templates, {}))
    del templates[tree_id]
    with pytest.raises(InvalidSetting, match=f"there is no template for {LABELS[tree_id][0]}"):
        Prompts(PromptSet("0" * 12, templates, {}))


@pytest.mark.parametrize(
    ("level", "text", "words"),
    [
        ("advanced", None, "there are no words for the level advanced"),
        ("basic", "", "reading_levels/basic.txt: it is empty"),
        ("basic", 'Say "it".', "reading_levels/basic.txt, line 1: a straight double quote"),
        ("basic", "As in {topic}.", "reading_levels/basic.txt: no placeholders here"),
        ("basic", "x" * MAX_PROMPT_CHARACTERS, "shorten it by"),
    ],
)
def test_a_reading_level_that_cannot_be_used_is_named(
    level: str, text: str | None, words: str
) -> None:
    levels = {name: said for name, said in {**LEVELS, level: text}.items() if said is not None}
    with pytest.raises(InvalidSetting, match=re.escape(words)):
        Prompts(set_of("Go. {reading_level}", levels))


def test_scripts_that_need_joiners_may_have_them() -> None:
    template = "می‌خواهم {topic} क्‍ष"
    assert filled(template, FIGURES) == template.replace("{topic}", '"roots"')


def test_the_version_is_that_of_all_texts() -> None:
    versions = {
        set_of("Go.").version,
        set_of("Go!").version,
        set_of("Go.", {**LEVELS, "basic": "Other words."}).version,
    }
    assert len(versions) == 3
    assert all(re.fullmatch("[0-9a-f]{12}", version) for version in versions)
    again = set_of("Go.")
    reordered = {name: dict(reversed(t.items())) for name, t in reversed(again.templates.items())}
    assert version_of(reordered, dict(reversed(LEVELS.items()))) == again.version


def test_no_feature_is_described_with_a_quote() -> None:
    assert not [feature.name for feature in FEATURES if '"' in feature.meaning]
