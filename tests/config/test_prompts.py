"""A folder of prompts becomes a set, or an error that says which file, why, and what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from agents.prompt_sets import prompts_in
from config.prompts import CLOSING, prompts_folder, read_prompt_set
from schemas.errors import InvalidSetting
from schemas.fields import LABELS, LearnerLevel
from schemas.prompt import PromptSet, level_file, template_file, version_of
from streams.prompt import MAX_PROMPT_CHARACTERS, PLACEHOLDERS, Prompts

PACKAGED = read_prompt_set()
TEMPLATES = [(tree_id, label) for tree_id, labels in LABELS.items() for label in labels]
FAST = "primary_classification/fast-tracker.txt"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the package's own."""
    copy = tmp_path / "prompts"
    shutil.copytree(Path(str(prompts_folder(None))), copy)
    return copy


def test_the_packaged_set_can_be_used_and_says_enough_of_the_learner() -> None:
    longest = Prompts(PACKAGED).longest
    assert list(longest) == TEMPLATES
    always = set(PLACEHOLDERS) - {"confidence_gap"}
    for tree_id, label in TEMPLATES:
        text = PACKAGED.templates[tree_id][label]
        assert text.startswith("{because}\n"), label
        assert text.endswith(f"\n{CLOSING}"), label
        assert {name for name in always if f"{{{name}}}" not in text} == set(), label
        assert 600 <= len(text) <= 1_000, label
    assert len({text for texts in PACKAGED.templates.values() for text in texts.values()}) == 14


def test_the_readme_tells_every_placeholder() -> None:
    readme = (prompts_folder(None) / "README.md").read_text()
    for name, meaning in PLACEHOLDERS.items():
        assert f"| `{{{name}}}` | {meaning} |" in readme
    assert f"at most {MAX_PROMPT_CHARACTERS:,} characters" in readme


def test_a_copy_of_the_folder_is_the_same_set(folder: Path) -> None:
    assert read_prompt_set(folder) == PACKAGED
    assert PACKAGED.version == version_of(PACKAGED.templates, PACKAGED.reading_levels)


@pytest.mark.parametrize(
    "saved",
    [
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: b"\n" + raw + b"\n \n",
    ],
    ids=["byte order mark", "line ends of Windows", "empty lines around"],
)
def test_how_an_editor_saves_makes_no_other_set(
    saved: Callable[[bytes], bytes], folder: Path
) -> None:
    for file in folder.rglob("*.txt"):
        file.write_bytes(saved(file.read_bytes()))
    assert read_prompt_set(folder) == PACKAGED


def test_an_edit_makes_another_version(folder: Path) -> None:
    (folder / FAST).write_text("Faster! {because}")
    (folder / "primary_classification" / "fast-tracker.txt~").write_text("an editor's own")
    edited = read_prompt_set(folder)
    assert edited.version != PACKAGED.version
    text = edited.templates["primary_classification"]["Fast Tracker"]
    assert text == f"Faster! {{because}}\n{CLOSING}"
    assert edited.templates["intervention_strategy"] == PACKAGED.templates["intervention_strategy"]


@pytest.mark.parametrize(
    "name",
    [
        *(template_file(tree_id, label) for tree_id, label in TEMPLATES),
        *(level_file(level) for level in get_args(LearnerLevel)),
    ],
)
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(InvalidSetting, match="there is no such file") as raised:
        read_prompt_set(folder)
    assert str(folder / name) in str(raised.value)


FAULTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it is empty"),
    "only blanks": (b"\xef\xbb\xbf \r\n\t\r\n", "it is empty"),
    "not UTF-8": ("Sag es schöner.".encode("latin-1"), "line 1: it is not UTF-8"),
    "not UTF-8 further down": (b"Go.\n\n\xff", "line 3: it is not UTF-8"),
    "UTF-16": ("Go.".encode("utf-16"), "it is not UTF-8"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "it is not UTF-8"),
    "huge": (b"x" * 20_000, "it has 20,000 bytes"),
    "too long": (b"x" * 3_000, "shorten it by"),
    "unknown placeholder": (b"Hello {name}.", "{name} is no placeholder"),
    "stray brace": (b"Hello {topic.", "{ belongs to no placeholder"),
    "a quote": (b'Say "hello".', "a straight double quote"),
    "a tab": (b"Say\thello.", "U+0009"),
    "the end of line of an old Mac": (b"Say\rhello.", "U+000D"),
    "a hidden direction": ("Say \u202ehello.".encode(), "U+202E"),
}


@pytest.mark.parametrize(("raw", "words"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("name", [FAST, "reading_levels/basic.txt"])
def test_a_file_that_cannot_be_used_is_named_with_its_fault(
    name: str, raw: bytes, words: str, folder: Path
) -> None:
    (folder / name).write_bytes(raw)
    with pytest.raises(InvalidSetting) as raised:
        prompts_in(folder)
    told = str(raised.value)
    assert words in told
    # Of a level that is too long, a template says so: it is the first that cannot hold it.
    assert str(folder / name) in told or (name.startswith("reading") and words == "shorten it by")


def test_a_misspelt_file_is_no_silent_no_op(folder: Path) -> None:
    (folder / "primary_classification" / "fast tracker.txt").write_text("Faster!")
    with pytest.raises(InvalidSetting, match="no label or level is called so") as raised:
        read_prompt_set(folder)
    assert "fast tracker.txt" in str(raised.value)
    assert FAST in str(raised.value)


def test_no_folder_and_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="no such folder"):
        read_prompt_set(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidSetting, match="no such folder"):
        read_prompt_set(tmp_path / "file")
    with pytest.raises(InvalidSetting, match="there is no such file"):
        read_prompt_set(tmp_path)
    folder = tmp_path / FAST
    folder.mkdir(parents=True)
    for tree_id, label in TEMPLATES[:5]:
        (tmp_path / template_file(tree_id, label)).write_text("Go.")
    with pytest.raises(InvalidSetting, match="cannot be read"):
        read_prompt_set(tmp_path)


def test_a_set_is_what_the_contract_says() -> None:
    assert isinstance(PACKAGED, PromptSet)
    assert list(PACKAGED.reading_levels) == list(get_args(LearnerLevel))
