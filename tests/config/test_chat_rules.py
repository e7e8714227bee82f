"""The rules that come with the package, and what is said of a document that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from config.chat_rules import MAX_BYTES, load_chat_rules
from schemas.errors import InvalidSetting
from schemas.fields import FlaggedType
from simulation.course import catalogue
from streams.chat_rules import ChatRules
from streams.flags import flags_of


def test_the_packages_own_rules_are_sound() -> None:
    rule_set = load_chat_rules()
    ChatRules(rule_set)
    assert rule_set.language == "en"
    flags = [flag for rule in rule_set.rules for flag in rule.flags]
    known: tuple[str, ...] = FlaggedType.__args__  # type: ignore[attr-defined]
    assert set(known) <= set(flags)
    assert set(flags_of(flags)) == set(known)
    assert any(rule.hint_used for rule in rule_set.rules)


def test_topics_are_a_sample_of_the_simulated_courses() -> None:
    told = {(t.course_id, t.topic_id, t.skill, t.objective) for t in load_chat_rules().topics}
    (algebra,) = [course for course in catalogue(1) if course.course_id == "algebra"]
    assert told == {
        (algebra.course_id, topic.topic_id, topic.skill_tag, topic.objective_tag)
        for module in algebra.modules
        for topic in module.topics
    }


def written(folder: Path, **fields: Any) -> Path:
    file = folder / "rules.json"
    file.write_text(json.dumps({"language": "en", **fields}))
    return file


RULE = {"name": "hard", "phrases": ["too hard"]}


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    rule_set = load_chat_rules(written(tmp_path, rules=[{**RULE, "flags": ["too_hard"]}]))
    assert rule_set.rules[0].phrases == ("too hard",)
    assert rule_set.topics == ()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"language": "de"}, "language: "),
        ({"rules": [{**RULE, "phrases": []}]}, r"rules\.0\.phrases: "),
        ({"rules": [{**RULE, "phrases": ["(a+)+$"]}]}, r"rules\.0\.phrases\.0: "),
        ({"rules": [{**RULE, "phrases": ["*"]}]}, r"rules\.0\.phrases\.0: "),
        ({"rules": [{**RULE, "phrases": ["a*b"]}]}, r"rules\.0\.phrases\.0: "),
        ({"rules": [{**RULE, "phrases": ["one  two"]}]}, r"rules\.0\.phrases\.0: "),
        ({"rules": [{**RULE, "phrases": ["a b c d e f g h i"]}]}, r"rules\.0\.phrases\.0: "),
        ({"rules": [{**RULE, "confidence": 2}]}, r"rules\.0\.confidence: "),
        ({"rules": [{**RULE, "regex": "x"}]}, r"rules\.0\.regex: "),
        ({"rules": [{**RULE, "flags": ["Too Hard"]}]}, r"rules\.0\.flags\.0: "),
        ({"rules": [RULE, RULE]}, "rule hard stands there 2 times"),
        (
            {"topics": [{"course_id": "c", "topic_id": "t"}] * 3},
            "topic t of c stands there 3 times",
        ),
        ({"stop_words": ["two words"]}, r"stop_words\.0: "),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    fields: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidSetting, match=said):
        load_chat_rules(written(tmp_path, **fields))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="cannot be read"):
        load_chat_rules(tmp_path / "none.json")
    with pytest.raises(InvalidSetting, match="cannot be read"):
        load_chat_rules(tmp_path)
    large = tmp_path / "large.json"
    large.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(InvalidSetting, match="shorten"):
        load_chat_rules(large)
    large.write_bytes(b"\xff{")
    with pytest.raises(InvalidSetting, match="the whole: "):
        load_chat_rules(large)
