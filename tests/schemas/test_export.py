"""The files in docs/schemas are current, are JSON Schema, and judge as pydantic judges."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators
from pydantic import ValidationError as Refused

from schemas.event import event_adapter
from schemas.export import CONTRACTS, export, json_schema
from schemas.sample_records import SAMPLES

CHECKED_IN = Path(__file__).parents[2] / "docs" / "schemas"

_formats = FormatChecker(formats=())
_formats.checks("date-time", ValueError)(
    lambda value: not isinstance(value, str) or datetime.fromisoformat(value) is not None
)


def _ecma_pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[ValidationError]:
    """JSON Schema's patterns are ECMA-262's, where "$" is the very end; Python's is not."""
    if isinstance(value, str) and not re.search(pattern.replace("$", r"\Z"), value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


_Validator = validators.extend(Draft202012Validator, {"pattern": _ecma_pattern})


@cache
def validator(name: str) -> Any:
    return _Validator(json_schema(name), format_checker=_formats)


def pydantic_takes(name: str, record: Any) -> bool:
    try:
        CONTRACTS[name].validate_json(json.dumps(record))
    except Refused:
        return False
    return True


EVENTS = validator("learner-event")
SAMPLE = dict(SAMPLES["learner-event"])
NAN = float("nan")
LEFT_OUT = object()

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("quiz.submitted", {"score": 0}),
    ("quiz.submitted", {"score": 1}),
    ("quiz.submitted", {"confidence": None}),
    ("quiz.submitted", {"traceparent": f"00-{'0' * 31}1-{'0' * 15}1-01"}),
    ("quiz.submitted", {"question_id": "é" * 255}),
    ("quiz.submitted", {"question_id": "𝒙" * 255}),
    ("quiz.submitted", {"user_id": "5F0E6C3A-1B7D-4C58-8F5E-2D9A7B1C4E60"}),
    ("quiz.submitted", {"occurred_at": "2026-01-31T09:00:00.123456+00:00"}),
    ("quiz.submitted", {"occurred_at": "2024-02-29T23:59:59Z"}),
    ("quiz.submitted", {"retries": 1000}),
    ("profile.updated", {"age": 5}),
    ("profile.updated", {"age": 120, "gpa": 4}),
    ("content.viewed", {"duration": 86400}),
    ("chat.message", {"message_text": "x" * 8000}),
    ("chat.message", {"searchable_tags": ["a"] * 32}),
    ("survey.answered", {"flagged_topics": [], "confidence_by_topic": {}}),
    ("survey.answered", {"confidence_by_topic": {"t" * 255: 1}}),
]
BAD: list[tuple[str, dict[str, Any]]] = [
    ("quiz.submitted", {"score": 1.01}),
    ("quiz.submitted", {"score": -0.01}),
    ("quiz.submitted", {"score": "0.5"}),
    ("quiz.submitted", {"score": True}),
    ("quiz.submitted", {"score": None}),
    ("quiz.submitted", {"score": LEFT_OUT}),
    ("quiz.submitted", {"course_id": LEFT_OUT}),
    ("quiz.submitted", {"user_id": LEFT_OUT}),
    ("quiz.submitted", {"type": LEFT_OUT}),
    ("quiz.submitted", {"type": "quiz.graded"}),
    ("quiz.submitted", {"type": "course.withdrawn"}),
    ("quiz.submitted", {"grade": 1}),
    ("quiz.submitted", {"retries": 1001}),
    ("quiz.submitted", {"retries": 0.5}),
    ("quiz.submitted", {"retries": True}),
    ("quiz.submitted", {"hint_used": 1}),
    ("quiz.submitted", {"hint_used": "true"}),
    ("quiz.submitted", {"question_id": ""}),
    ("quiz.submitted", {"question_id": "x" * 256}),
    ("quiz.submitted", {"question_id": "a\nb"}),
    ("quiz.submitted", {"question_id": "a\n"}),
    ("quiz.submitted", {"question_id": "a\x7f"}),
    ("quiz.submitted", {"question_id": 7}),
    ("quiz.submitted", {"user_id": "5f0e6c3a1b7d4c588f5e2d9a7b1c4e60"}),
    ("quiz.submitted", {"user_id": "{5f0e6c3a-1b7d-4c58-8f5e-2d9a7b1c4e60}"}),
    ("quiz.submitted", {"traceparent": "00-1-1-01"}),
    ("quiz.submitted", {"content_format": "audio"}),
    ("quiz.submitted", {"occurred_at": "2026-01-31T09:00:00"}),
    ("quiz.submitted", {"occurred_at": "2026-01-31T09:00:00+01:00"}),
    ("quiz.submitted", {"occurred_at": "2026-01-31"}),
    ("quiz.submitted", {"occurred_at": "2026-02-30T09:00:00Z"}),
    ("quiz.submitted", {"occurred_at": "2026-13-01T09:00:00Z"}),
    ("quiz.submitted", {"occurred_at": "2026-01-31T24:00:00Z"}),
    ("quiz.submitted", {"occurred_at": "2026-01-31T09:00:60Z"}),
    ("quiz.submitted", {"occurred_at": 1769850000}),
    ("profile.updated", {"age": 4}),
    ("profile.updated", {"age": 121}),
    ("profile.updated", {"gpa": 4.1}),
    ("profile.updated", {"format_comfort_rating_text": 0}),
    ("profile.updated", {"format_comfort_rating_text": 6}),
    ("profile.updated", {"class_year": "Freshman"}),
    ("content.viewed", {"duration": 86401}),
    ("chat.message", {"message_text": "x" * 8001}),
    ("chat.message", {"message_direction": "tutor"}),
    ("chat.message", {"searchable_tags": ["a"] * 33}),
    ("chat.message", {"searchable_tags": "a"}),
    ("survey.answered", {"flagged_topics": ["t"] * 51}),
    ("survey.answered", {"confidence_by_topic": {f"t{i}": 0.5 for i in range(51)}}),
    ("survey.answered", {"confidence_by_topic": {"": 0.5}}),
    ("survey.answered", {"confidence_by_topic": {"a\nb": 0.5}}),
    ("survey.answered", {"confidence_by_topic": {"t" * 256: 0.5}}),
    ("survey.answered", {"confidence_by_topic": {"t": 1.5}}),
    ("course.completed", {"result": "withdrawn"}),
    ("course.enrolled", {"previous_attempts": -1}),
    ("label.assigned", {"tree_id": "another"}),
]


def changed(kind: str, changes: dict[str, Any]) -> dict[str, Any]:
    event = SAMPLE[kind] | changes
    return {name: value for name, value in event.items() if value is not LEFT_OUT}


def test_the_files_checked_in_are_current(tmp_path: Path) -> None:
    written = export(tmp_path / "made" / "here")
    names = (*CONTRACTS, "asyncapi", "openapi")
    assert {file.name for file in written} == {f"{name}.json" for name in names}
    assert {file.name for file in CHECKED_IN.iterdir()} == {file.name for file in written}
    stale = [f.name for f in written if f.read_bytes() != (CHECKED_IN / f.name).read_bytes()]
    assert not stale, "stale: run `make schemas`"


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_schema_is_json_schema_with_a_title_and_no_loose_ends(name: str) -> None:
    schema = json_schema(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"]
    Draft202012Validator.check_schema(schema)
    objects = [node for node in nodes(schema) if node.get("type") == "object"]
    assert objects
    assert [node for node in objects if "additionalProperties" not in node] == []
    assert [node for node in objects if "properties" in node and node["additionalProperties"]] == []
    times = [node for node in nodes(schema) if node.get("format") == "date-time"]
    assert all("Z|" in node["pattern"] for node in times)


def test_every_event_type_stands_under_defs_and_has_a_sample() -> None:
    schema = json_schema("learner-event")
    kinds = {
        schema["$defs"][ref["$ref"].rpartition("/")[2]]["properties"]["type"]["const"]
        for ref in schema["oneOf"]
    }
    assert len(kinds) == len(schema["oneOf"]) == 19
    assert kinds == set(SAMPLE)


@pytest.mark.parametrize(
    ("name", "record"), [(name, record) for name in SAMPLES for _, record in SAMPLES[name]]
)
def test_samples_are_valid_to_both(name: str, record: dict[str, Any]) -> None:
    validator(name).validate(record)
    assert pydantic_takes(name, record)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_field_more_or_a_field_missing_is_refused_by_both(name: str) -> None:
    _, record = SAMPLES[name][0]
    required = "event_id" if name == "learner-event" else json_schema(name)["required"][0]
    for wrong in (record | {"surprise": 1}, {k: v for k, v in record.items() if k != required}):
        assert not validator(name).is_valid(wrong)
        assert not pydantic_takes(name, wrong)


@pytest.mark.parametrize(("kind", "changes"), GOOD)
def test_a_good_event_is_good_to_both(kind: str, changes: dict[str, Any]) -> None:
    event = changed(kind, changes)
    EVENTS.validate(event)
    event_adapter.validate_json(json.dumps(event))


@pytest.mark.parametrize(("kind", "changes"), BAD)
def test_a_bad_event_is_bad_to_both(kind: str, changes: dict[str, Any]) -> None:
    event = changed(kind, changes)
    assert not EVENTS.is_valid(event)
    assert not pydantic_takes("learner-event", event)


def test_what_json_schema_cannot_say() -> None:
    """If one of these changes, the docstring of `schemas.export` is to be changed too."""
    whole = changed("quiz.submitted", {"retries": 1.0})
    assert EVENTS.is_valid(whole)
    assert not pydantic_takes("learner-event", whole)
    no_number = changed("quiz.submitted", {"score": NAN})  # which is not JSON
    assert not pydantic_takes("learner-event", no_number)
    _, tree = SAMPLES["tree-document"][0]
    no_tree = tree | {"nodes": [tree["nodes"][0]]}
    assert validator("tree-document").is_valid(no_tree)
    assert not pydantic_takes("tree-document", no_tree)


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-31T09:00:00-00:00",
        "2026-01-31 09:00:00Z",
        "2026-01-31T09:00Z",
        "1769850000",
        "2026-02-30T09:00:00Z",
    ],
)
def test_a_time_has_one_spelling(time: str) -> None:
    event = changed("quiz.submitted", {"occurred_at": time})
    assert not pydantic_takes("learner-event", event)
    assert not EVENTS.is_valid(event)


def test_a_partition_of_a_snapshot_is_a_whole_number() -> None:
    _, snapshot = SAMPLES["trainer-snapshot"][0]
    for partition in ("x", "-1"):
        wrong = snapshot | {"offsets": {partition: 1}}
        assert not validator("trainer-snapshot").is_valid(wrong)
        assert not pydantic_takes("trainer-snapshot", wrong)


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(schema, dict):
        yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for inner in schema:
            yield from nodes(inner)
