"""What a reader may rely on: short files, telling names, documented settings, linked records."""

from __future__ import annotations

import re
import statistics
import tomllib
from pathlib import Path

import pytest

from config.loading import values, variable
from config.reference import settings_reference
from config.settings import Settings

ROOT = Path(__file__).parents[1]
PRODUCT = (
    "schemas", "streams", "agents", "sinks", "config", "converters", "simulation", "demo",
    "queries", "audit", "doctor", "client", "api", "chat", "cli",
)  # fmt: skip
FILES = sorted(
    file
    for folder in PRODUCT
    for file in (ROOT / folder).rglob("*.py")
    if file.name != "__init__.py"
)
SAY_NOTHING = {"base", "common", "core", "helper", "helpers", "misc", "util", "utils"}
RECORDS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


def test_files_are_short() -> None:
    lengths = {file.relative_to(ROOT): len(file.read_text().splitlines()) for file in FILES}
    assert len(lengths) > 30
    assert statistics.median(lengths.values()) <= 150
    assert {file: length for file, length in lengths.items() if length > 500} == {}


def test_file_names_tell_what_is_in_them() -> None:
    everywhere = [*FILES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]
    assert [file for file in everywhere if file.stem in SAY_NOTHING] == []


def test_files_say_at_the_top_what_they_are() -> None:
    assert [file for file in FILES if not file.read_text().startswith('"""')] == []


def test_every_setting_says_what_it_is() -> None:
    bare = [
        f"{section}.{name}"
        for section, group in Settings(_env_file=None)
        for name, field in type(group).model_fields.items()
        if not field.description
    ]
    assert bare == []


def test_the_settings_reference_is_current() -> None:
    written = (ROOT / "docs" / "settings.md").read_text()
    assert written == settings_reference(), "stale: run `make schemas`"


def test_every_variable_that_we_name_is_a_setting() -> None:
    known = {variable(value.name) for value in values(Settings(_env_file=None), {}, None)}
    known |= {"LEARNER_TEST_KAFKA", "LEARNER_REQUIRE_SERVERS"}
    texts = ["README.md", ".env.example", "docker-compose.yml", "Dockerfile", "Makefile"]
    code = [str(file.relative_to(ROOT)) for file in FILES]
    named = {
        (place, name)
        for places, pattern in (
            (texts, r"LEARNER_[A-Z_]*[A-Z]"),
            (code, r"LEARNER_[A-Z]+__[A-Z_]*[A-Z]"),
        )
        for place in places
        for name in re.findall(pattern, (ROOT / place).read_text())
    }
    assert len(named) > 10
    assert {pair for pair in named if pair[1] not in known} == set()


def test_what_the_image_is_made_of_is_let_in() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line[1:].removesuffix("/**") for line in lines if line.startswith("!")}
    copied = {
        source
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert "streams" in copied
    assert copied <= let_in


def test_decision_records_are_numbered_without_a_gap() -> None:
    numbers = [int(record.name[:4]) for record in RECORDS]
    assert numbers == list(range(1, len(RECORDS) + 1))
    assert len(numbers) >= 5


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_decision_record_is_short_numbered_and_listed(record: Path) -> None:
    text = record.read_text()
    assert len(text.splitlines()) <= 30
    assert text.startswith(f"# {int(record.name[:4])}. ")
    assert f"]({record.name})" in (ROOT / "docs" / "decisions" / "README.md").read_text()


def test_links_between_our_documents_lead_somewhere() -> None:
    documents = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    broken = {
        f"{document.relative_to(ROOT)} → {target}"
        for document in documents
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", document.read_text())
        if not (document.parent / target).exists()
    }
    assert not broken


def test_decision_records_named_in_the_code_exist() -> None:
    numbers = {record.name[:4] for record in RECORDS}
    named = {
        (file.name, number)
        for file in (*FILES, *(ROOT / "tests").rglob("*.py"), ROOT / "pyproject.toml")
        for number in re.findall(r"docs/decisions/(\d{4})", file.read_text())
    }
    assert {pair for pair in named if pair[1] not in numbers} == set()


def test_the_runtime_lock_holds_only_what_the_code_imports() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    later = {re.split(r"[<>=[]", need)[0] for needs in extras.values() for need in needs}
    assert "redis" in later
    runtime, dev = (locked(ROOT / "requirements" / f"{name}.lock") for name in ("runtime", "dev"))
    assert not later & runtime
    assert later <= dev
    assert runtime <= dev


def test_locks_have_hashes_and_name_no_index() -> None:
    for name in ("runtime", "dev"):
        text = (ROOT / "requirements" / f"{name}.lock").read_text()
        assert "://" not in text
        assert "index" not in text
        entries = re.split(r"\n(?=\S)", text)
        without = [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry]
        assert without == []


def locked(file: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9.-]+)==", file.read_text(), re.MULTILINE))
